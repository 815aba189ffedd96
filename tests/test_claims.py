"""The claims of the debate: the verdicts that are computed are those that a careful reader of the rules came to."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))

import _claims  # noqa: E402

# by a phrase of the claim: what the numbers say
VERDICTS = {
    "just under 2,700": _claims.DISAGREE,
    "nearly every high-end chip": _claims.AGREE,
    "need a notification": _claims.AGREE,
    "leaves 30 days": _claims.AGREE,
    "A800, H800, L40S, MI250 and Gaudi2": _claims.AGREE,
    "21 Ethernet ports": _claims.AGREE,
    "600 TOPS of INT8": _claims.AGREE,
    "4,989 over 826": _claims.AGREE,
    "only V100 and TPU v3": _claims.PARTLY,
    "aimed at chiplets": _claims.PARTLY,
    "NVLink 900 GB/s as the H100": _claims.AGREE,
    "aim at bandwidth": _claims.PARTLY,
    "10,000 V100 in 2 years": _claims.AGREE,
    "often immaterial": _claims.AGREE,
    "may beat the H100 in inference": _claims.AGREE,
    "multiples of the H100": _claims.AGREE,
    "about an A100": _claims.AGREE,
    "INT4 instead of FP16": "not judged",
    "900 TFLOP/s": _claims.PARTLY,
    "7, 12 and 28 nm": _claims.PARTLY,
    "the 4090D": _claims.AGREE,
    "1,700 GPUs": _claims.AGREE,
    "50,000 chips": _claims.AGREE,
    "120 days": _claims.AGREE,
    "lets H200 and MI325X pass": _claims.AGREE,
    "3.67M B300": _claims.AGREE,
    "orders of magnitude": _claims.AGREE,
    "by memory bandwidth": _claims.AGREE,
    "lead of 31": "not judged",
    "renting in a cloud": _claims.PARTLY,
    "lives 1 to 2 years": _claims.DISAGREE,
    "100 times a phone": _claims.DISAGREE,
}


@pytest.mark.parametrize("claim", _claims.CLAIMS, ids=lambda claim: claim.said[:40])
def test_a_claim_is_judged_by_its_numbers(claim: _claims.Claim) -> None:
    phrase = next(each for each in VERDICTS if each in claim.said)
    assert claim.compute().verdict == VERDICTS[phrase]


def test_every_verdict_is_of_a_claim() -> None:
    assert len(VERDICTS) == len(_claims.CLAIMS)
