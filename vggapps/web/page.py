"""Building the page: its tabs, theme and header."""

from __future__ import annotations

import os
from importlib import resources
from typing import Any, get_args

# Read when gradio is imported: no telemetry.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from gradio.events import api

from vggapps import __version__
from vggapps.web.classify import classify_tab
from vggapps.web.compare import compare_tab
from vggapps.web.device import Device
from vggapps.web.explain import explain_tab
from vggapps.web.files import SHARED, Results
from vggapps.web.limits import Limits
from vggapps.web.previews import Previews
from vggapps.web.running import Page
from vggapps.web.stylize import stylize_tab
from vggapps.web.turns import Lane, Turns
from vggapps.web.visualize import visualize_tab

TABS = {
    "Stylize": (stylize_tab, "Paint a photo in the style of a painting."),
    "Classify": (classify_tab, "What is in a picture, and where."),
    "Explain": (explain_tab, "Where in a picture the evidence for a class is."),
    "Visualize": (visualize_tab, "What a channel or a class looks for."),
    "Compare": (compare_tab, "How similar two pictures are."),
}

FONTS = ("ui-sans-serif", "system-ui", "sans-serif")  # fonts of the visitor's system: nothing is fetched


def build(limits: Limits | None = None) -> tuple[gr.Blocks, dict[str, Any], Page]:
    """Build the page.

    >>> demo, options, page = build()                                                   # doctest: +SKIP
    >>> demo.launch(**options)                                                          # doctest: +SKIP

    Args:
        limits: what the page accepts.

    Returns:
        Gradio's Blocks; the arguments of their ``launch`` that set theme and safety; and the page, whose ``close``
        ends its work.
    """
    limits = limits or Limits()
    turns = Turns()
    long, quick = (Device(limits.max_waiting, limits.max_seconds, turns, lane) for lane in get_args(Lane))
    results = Results(SHARED.enter())
    page = Page(long, quick, limits, results, Previews(results))
    with gr.Blocks(title="vggapps", analytics_enabled=False, delete_cache=(60, 3600)) as demo:
        gr.HTML(HEADER.format(about=_about()), js_on_load=None)
        with gr.Tabs(elem_id="tabs"):
            for name, (tab, purpose) in TABS.items():
                with gr.Tab(name, id=name.lower(), elem_id=f"tab-{name.lower()}"):
                    gr.Markdown(purpose, elem_classes="purpose")
                    tab(page)

        def stop(request: gr.Request) -> int:
            """Stop the runs of this session and return their number; a picture that exists by then is kept."""
            return page.stop(request.session_hash or "")

        def leave(request: gr.Request) -> None:
            page.leave(request.session_hash or "")

        api(stop, queue=False)
        demo.unload(leave)
    demo.queue(max_size=None, default_concurrency_limit=None)
    return demo, _launch(limits), page


HEADER = """
<header class="top"><h1><span>vgg</span>apps</h1><p>{about}</p></header>
"""


def _about() -> str:
    """The installed networks, and how to get more."""
    from vggapps.weights._records import RECORDS
    from vggapps.weights._store import find

    full = [name for name in ("vgg19", "vgg16") if find(RECORDS[name])]
    pictures = "Pictures are made with VGG-19 as published by Oxford, which is installed."
    if full:
        return f"{pictures} Classes are named by {full[0]}, as published."
    return (
        f"{pictures} Classes are named by the small head that comes with vggapps; the full network is more accurate: "
        "<code>vggapps weights download vgg16</code> installs it."
    )


def _asset(file: str) -> str:
    return (resources.files("vggapps") / "data" / file).read_text(encoding="utf-8")


def _theme() -> gr.Theme:
    return gr.themes.Soft(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=("ui-monospace",)
    ).set(
        body_background_fill="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_shadow="none",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_padding="0",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_label_background_fill="*background_fill_secondary",
        block_label_background_fill_dark="*background_fill_secondary",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
    )


def _launch(limits: Limits) -> dict[str, Any]:
    """The arguments of ``launch``; features that are not needed are disabled explicitly."""
    return {
        "theme": _theme(),
        "css": _asset("page.css"),
        "js": _asset("page.js"),
        "max_file_size": round(limits.max_upload * 1e6),
        "max_threads": 40 + 2 * limits.max_waiting,  # each waiting job briefly holds one
        "show_error": False,
        "allowed_paths": [],
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "footer_links": ["api"],
        "quiet": True,
        "app_kwargs": {"version": __version__},
    }
