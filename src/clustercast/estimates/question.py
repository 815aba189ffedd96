"""From what the user asked to everything that the answer needs, with each default said."""

from dataclasses import dataclass, field
from typing import Final, TypeVar

from clustercast import catalog, records
from clustercast.catalog import build, constants, serving
from clustercast.catalog.constants import Constant
from clustercast.errors import WrongInput
from clustercast.estimates.calibration import applied
from clustercast.estimates.interval import evidence_of
from clustercast.estimates.result import Assumption
from clustercast.physics.parameters import active_params, total_params

MOST_CHIPS = 10_000_000
MOST_TOKENS = 10**18
MOST_SEQ_LEN = 10_000_000
MOST_BATCH = 10_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The question as the user put it; None is open."""

    chip: str
    model: str | catalog.ModelProfile
    n_chips: int | None = None
    tokens: float | None = None
    global_batch: int | None = None
    seq_len: int | None = None
    precision: str | None = None
    plan: str = ""
    input_len: int | None = None
    output_len: int | None = None
    batch: int | None = None
    fabric: str | None = None
    stack: str | None = None
    engine: str = "vllm"
    settings: tuple[str, ...] = ()
    price: str = "rent"  # or buy
    only_serving: bool = False  # then weights are kept as they were published, unless precision says otherwise
    tpot_s: float | None = None  # what the largest batch keeps to


@dataclass(frozen=True, slots=True)
class Question:
    """The question with every blank filled in."""

    asked: Asked
    chip: catalog.ChipProfile
    model: catalog.ModelProfile
    fabric: catalog.FabricProfile
    record: records.Model
    n_chips: int
    tokens: float
    job: records.Job
    input_len: int
    output_len: int
    precision: str
    silicon: build.Silicon
    stack: constants.SoftwareStack
    engine: serving.EngineProfile
    total_params: float
    active_params: float
    assumptions: list[Assumption] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def setting(self, n_chips: int | None = None) -> records.Setting:
        """What the physics sees, for training."""
        cluster = build.cluster(self.chip, self.fabric, n_chips or self.n_chips)
        setting = records.Setting(
            build.in_training(self.silicon.chip, self.chip.family),
            self.silicon.kernels,
            self.stack.record,
            self.silicon.recipe.training,
            cluster,
            self.record,
            self.job,
        )
        return records.as_declared(setting)

    def serving_setting(self, *, guessing: bool = False, kv: str = "") -> records.ServingSetting:
        """What the physics sees, for serving: serving formats and an engine, nothing of a training stack.

        guessing  the engine loads the layers that predict further tokens
        kv        format of the cache; empty: as the recipe has it
        """
        weight, expert, usual = self.silicon.recipe.parts
        silicon = serving.silicon(self.chip, weight, expert, kv or usual)
        cluster = build.cluster(self.chip, self.fabric, self.n_chips)
        model = self.record if guessing else self.record._replace(n_mtp_layers=0)
        return records.as_declared(
            records.ServingSetting(silicon.chip, silicon.kernels, silicon.precision, self.engine.record, cluster, model)
        )


def whole(name: str, value: int | None, most: int) -> int | None:
    """A whole number from 1 to `most`, or WrongInput."""
    if value is not None and not 1 <= value <= most:
        raise WrongInput(f"{name}: expected a whole number from 1 to {most:,}, got {value:,}")
    return value


def fill(asked: Asked) -> Question:
    """Resolve names and fill in defaults. Raises WrongInput for what is wrong; nothing is substituted unsaid."""
    whole("--count", asked.n_chips, MOST_CHIPS)
    whole("--gbs", asked.global_batch, MOST_BATCH)
    whole("--seq", asked.seq_len, MOST_SEQ_LEN)
    whole("--isl", asked.input_len, MOST_SEQ_LEN)
    whole("--osl", asked.output_len, MOST_SEQ_LEN)
    whole("--batch", asked.batch, MOST_BATCH)
    if asked.tokens is not None and not 1 <= asked.tokens <= MOST_TOKENS:
        raise WrongInput(f"--tokens: expected a number from 1 to {MOST_TOKENS:.0e}, got {asked.tokens:g}")
    chip = profile_set(catalog.find_chip(asked.chip), "chip", asked.settings)
    model = catalog.find_model(asked.model) if isinstance(asked.model, str) else asked.model
    fabric = profile_set(catalog.find_fabric(asked.fabric or chip.fabric), "fabric", asked.settings)
    record = records.as_declared(model.record())
    said: list[Assumption] = []
    warnings: list[str] = []
    if asked.fabric is None:
        said.append(Assumption("fabric", fabric.full_name, "assumed", f"the chip's usual fabric, {fabric.name}"))

    def default(name: str, own: str, fallback: Constant, given: float | None) -> float:
        if given is not None:
            return float(given)
        found = model.training.get(own)
        if found is not None:
            source = model.sources.get(found.source, found.source)
            said.append(Assumption(name, found.value, found.kind, source, found.low, found.high))
            return found.value
        said.append(Assumption(name, fallback.value, fallback.kind, fallback.note or fallback.source))
        return fallback.value

    active = active_params(record)
    per_param = constants.default("training", "tokens_per_active_param")
    tokens = default("tokens", "tokens", per_param._replace(value=per_param.value * active), asked.tokens)
    seq_len = int(default("seq_len", "seq_len", constants.default("training", "seq_len"), asked.seq_len))
    per_batch = constants.default("training", "tokens_per_batch")
    sequences = max(1.0, float(round(per_batch.value / seq_len)))
    own_batch = model.training.get("global_batch")
    own_seq = model.training.get("seq_len")
    if asked.global_batch is None and own_batch and own_seq and seq_len != own_seq.value:
        # the same tokens per step at another sequence length
        batch = float(max(1, round(own_batch.value * own_seq.value / seq_len)))
        said.append(Assumption("global_batch", batch, "assumed", "the model's own tokens per step at this length"))
    else:
        batch = default("global_batch", "global_batch", per_batch._replace(value=sequences), asked.global_batch)
    n_chips = int(default("count", "chips", constants.default("training", "chips"), asked.n_chips))
    lengths = []
    for name, given in (("input_len", asked.input_len), ("output_len", asked.output_len)):
        usual = constants.default("serving", name)
        if given is None:
            said.append(Assumption(name, int(model.serving.get(name, usual.value)), usual.kind, usual.note))
        lengths.append(given or int(model.serving.get(name, usual.value)))
    if asked.precision is None:
        wanted = model.served if asked.only_serving and model.served else model.precision
        precision, why = build.default_recipe(chip, wanted)
        said.append(Assumption("precision", precision, "assumed", why or f"the default for {model.name}"))
        if why:
            warnings.append(why)
    else:
        precision = asked.precision
    silicon = build.silicon(chip, precision, evidence_of(chip, "training"))
    stack_name = asked.stack or constants.default_stack(chip.family)
    stack = constants.stack(stack_name, chip.name, chip.family)
    if asked.stack is None:
        said.append(Assumption("stack", stack_name, "assumed", stack.title))
    if model.status != "published":
        warnings.append(f"{model.name} is {model.status}, not confirmed: {model.full_name}")
    if chip.status != "shipping":
        warnings.append(f"{chip.name} is {chip.status}: its numbers are not from a product one can buy")
    engine = serving.with_settings(serving.engine(asked.engine, chip.family, chip.name), asked.settings)
    measured, unused = applied(chip, fabric, silicon.recipe.formats.values(), stack.name, engine.name)
    warnings += unused
    return Question(
        asked=asked,
        chip=chip,
        model=model,
        fabric=fabric,
        record=record,
        n_chips=n_chips,
        tokens=tokens,
        job=records.Job(seq_len, int(batch)),
        input_len=lengths[0],
        output_len=lengths[1],
        precision=silicon.recipe.name,
        silicon=silicon,
        stack=stack,
        engine=engine,
        total_params=total_params(record),
        active_params=active,
        assumptions=said + measured,
        warnings=warnings,
    )


OWNERS: Final = ("chip", "fabric", "engine", "job")  # of what `--set` changes
Profile = TypeVar("Profile", catalog.ChipProfile, catalog.FabricProfile)


def profile_set(profile: Profile, owner: str, settings: tuple[str, ...]) -> Profile:
    """The profile with every `--set owner.key=value` applied."""
    given: set[str] = set()
    for setting in settings:
        target, equals, text = setting.partition("=")
        whose, dot, key = target.strip().partition(".")
        if target.strip() in given:
            raise WrongInput(f"--set {target.strip()} is given twice")
        given.add(target.strip())
        if not equals or not text.strip() or not dot or whose not in OWNERS:
            raise WrongInput(
                f"--set {setting}: expected <owner>.<key>=<value> with one of {', '.join(OWNERS)}",
                hint="--set chip.hbm_bandwidth=6TB/s",
            )
        if whose == owner:
            profile = profile.with_setting(key, text.strip())
    return profile
