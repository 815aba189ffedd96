"""Names that would do something if any place took them for more than text."""

NAMES = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "${window.hit=1}",
    "{{constructor.constructor('window.hit=1')()}}",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "a\u202eb\u0000c\u001b[31m",
    "' onmouseover='window.hit=1",
)
