"""The page in the browser, with Gradio: the controls and what they ask a session for."""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zstar.app.bundled import asset
from zstar.app.guiding import add_strokes
from zstar.app.open import Workplace
from zstar.app.strokes import ALPHAS
from zstar.app.wires import Wires
from zstar.config.reasons import Unfit

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "monospace"]
KINDS = {"units": "switch units: at once", "optimize": "optimise: some seconds"}
HOW = "Units of the generator are switched where you paint; or the latent moves until the class is seen there."
TITLE = "# Paint\nChoose a brush and paint: the generator draws what belongs there. What you do not touch stays."
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STEPS = ("undo", "redo", "reset")
SAVED = ("picture", "latents", "strokes")
SILENT = {  # before Gradio is imported: it asks nobody for versions, fonts or models
    "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
}  # fmt: skip


def require_gradio() -> Any:
    """Gradio, told to keep quiet.

    Raises:
        Unfit: It is not installed.
    """
    os.environ.update(SILENT)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # by which it asks itself whether it is there
    try:
        import gradio
    except ModuleNotFoundError:
        raise Unfit("paint: the page needs Gradio; install it with pip install 'zstar[paint]'") from None
    return gradio


def make_page(workplace: Workplace, begin: Any = None) -> Any:
    """The page as Gradio's ``Blocks``.

    Arguments:
        workplace: What all sessions share.
        begin: From a function that hears of progress to the picture that each session begins with; null for a scene.
    """
    gr = require_gradio()
    pictures = workplace.pictures
    first = begin or (lambda progress: pictures.sample(workplace.plain["scene"]))
    with gr.Blocks(title="Paint", analytics_enabled=False) as page:
        session = gr.State(None)
        gr.Markdown(TITLE, elem_id="title")
        with gr.Tabs(elem_id="rooms") as rooms, gr.Tab("Paint"), gr.Row():
            with gr.Column(scale=3, min_width=320):
                easel = make_easel(gr, workplace)
                with gr.Row(elem_id="steps"):
                    steps = {name: gr.Button(name.capitalize(), elem_id=name, min_width=80) for name in STEPS}
                with gr.Row(elem_id="saves"):
                    saves = {name: gr.Button(f"Save {name}", size="sm", min_width=90) for name in SAVED}
            with gr.Column(scale=2, min_width=320):
                brush = make_brush(gr, workplace)
                sliders = make_sliders(gr, workplace)
                with gr.Tabs():
                    with gr.Tab("Photo"):
                        photo = make_upload(gr, workplace)
                    with gr.Tab("Picture"):
                        names = gr.Dropdown(
                            pictures.names(),
                            value=None,
                            label="A held-out picture, which is projected",
                            elem_id="names",
                        )
                    with gr.Tab("Scene"):
                        label = "Number of the scene"
                        seed = clamped(gr.Number(0, label=label, precision=0, minimum=0, elem_id="seed"))
                        scene = gr.Button("Draw it", elem_id="scene")

        add_strokes(gr, workplace, session, rooms)
        wires = Wires(gr, workplace, session, easel, sliders)
        page.load(wires.opened(first), outputs=wires.outputs, show_progress="hidden", api_visibility="private")
        wires.stroke(easel.stroke, brush)
        for name, button in steps.items():
            wires.step([button.click, *([getattr(easel, name)] if name != "reset" else [])], name)
        for name, slider in sliders.items():
            wires.slide(slider.release, name, slider)
        for name, button in saves.items():
            wires.save(button.click, name)
        wires.begin(scene.click, [seed], lambda number, progress: pictures.sample(int(number or 0)))
        wires.begin(names.select, [names], pictures.image)  # once; of input there are two
        wires.upload(photo.photo)
    return page


def make_brush(gr: Any, workplace: Workplace) -> list[Any]:
    """The controls of the brush: its class, mode, strength, width and kind."""
    classes, kinds = list(workplace.studio.classes), list(workplace.studio.brushes)
    with gr.Group():
        name = gr.Radio(classes, value=classes[0], label="Brush", elem_id="brushes")
        mode = gr.Radio(
            [("draw it", "draw"), ("remove it", "remove")], value="draw", label="What to do", elem_id="modes"
        )
        strength = gr.Radio(list(ALPHAS), value="high", label="Strength", elem_id="strengths")
        width = "Width, in pixels of the picture"
        size = clamped(gr.Slider(1, 32, value=8, step=1, label=width, elem_id="size"))
        choices = [(KINDS[kind], kind) for kind in kinds]
        kind = gr.Radio(choices, value=kinds[0], label="How", info=HOW, elem_id="kinds", visible=len(kinds) > 1)
    return [name, mode, strength, size, kind]


def make_easel(gr: Any, workplace: Workplace) -> Any:
    """The picture, as a small component of its own: a stroke is seen while it is drawn."""
    return gr.HTML(
        value=None,
        html_template=asset("easel.html"),
        css_template=asset("easel.css"),
        js_on_load=asset("canvas.js") + asset("easel.js"),
        colours=dict(workplace.colours),
        elem_id="easel",
    )


def make_sliders(gr: Any, workplace: Workplace) -> dict[str, Any]:
    """A slider for each direction, over its useful range."""
    made = {}
    for name, direction in workplace.studio.directions.items():
        low, high = direction.label.low, direction.label.high
        title = workplace.plain["titles"].get(name, name.replace("_", " "))
        step, place = (high - low) / 40, f"restyle-{name}"
        made[name] = clamped(gr.Slider(low, high, value=0.0, step=step, label=title, elem_id=place))
    return made


def clamped(field: Any) -> Any:
    """The field of a number, which takes what is typed beyond its ends for the end, as it then shows: Gradio would fail
    where nobody sees it, and a stroke or a slider do nothing."""
    check, low, high = field.preprocess, field.minimum, field.maximum

    def clamp(value: Any) -> Any:
        if isinstance(value, int | float):
            value = value if low is None else max(value, low)
            value = value if high is None else min(value, high)
        return check(value)

    field.preprocess = clamp
    return field


def make_upload(gr: Any, workplace: Workplace) -> Any:
    """A button for a photo, which goes to the session and into no file."""
    return gr.HTML(
        html_template=asset("upload.html"),
        js_on_load=asset("upload.js"),
        megabytes=workplace.plain["max_megabytes"],
        elem_id="upload",
    )


@contextmanager
def served(workplace: Workplace, begin: Any = None) -> Iterator[str]:
    """Within the context, the page is there; its address.

    Raises:
        ValueError: The port is taken, or is none of this machine's.
    """
    gr, plain = require_gradio(), workplace.plain
    port = free_port(plain["host"], plain["port"])
    with tempfile.TemporaryDirectory(prefix="zstar-paint-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # of what Gradio itself has to keep, as long as the page is there
        page = make_page(workplace, begin)
        page.launch(
            server_name=plain["host"], server_port=port, inbrowser=plain["open"], share=False, quiet=True,
            prevent_thread_lock=True, footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
            enable_monitoring=False, max_file_size=f"{max(1, round(plain['max_megabytes']))}mb",
            theme=gr.themes.Base(font=FONTS, font_mono=MONO, primary_hue="sky", neutral_hue="slate"),
            css=asset("page.css") + swatches(workplace),
        )  # fmt: skip
        try:
            yield f"http://{'127.0.0.1' if plain['host'] == '0.0.0.0' else plain['host']}:{port}"
        finally:
            page.close(verbose=False)


def serve(workplace: Workplace, begin: Any = None) -> None:
    """Serve the page until the program is interrupted."""
    with served(workplace, begin) as address:
        if workplace.plain["host"] not in LOOPBACK:
            print(f"host: with {workplace.plain['host']}, everybody who reaches this machine can paint, too")
        print(f"paint at {address}; Ctrl-C ends it")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("\nended")


def free_port(host: str, port: int) -> int:
    """The port, or any free one for 0; an error where it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise ValueError(f"port: {port} on {host} can't be had ({why}); choose another port, or port=0") from None
        return probe.getsockname()[1]


def swatches(workplace: Workplace) -> str:
    """The style of the brushes' buttons: each has the colour of its class."""
    rules = [
        "#brushes label span::before { content: ''; display: inline-block; width: 0.9em; height: 0.9em; "
        "border-radius: 50%; margin-right: 0.45em; vertical-align: -0.1em; box-shadow: inset 0 0 0 1px #0003; }"
    ]
    for place, name in enumerate(workplace.studio.classes, start=1):
        rules.append(f"#brushes label:nth-of-type({place}) span::before {{ background: {workplace.colours[name]}; }}")
    return "\n".join(rules)
