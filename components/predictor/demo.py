"""A page in the browser to try a model on a picture."""

from __future__ import annotations

import os
import tempfile

import gradio as gr
import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import palette
from components.common.exported_model import Segmenter
from components.predictor.overlay import OPACITY, mask_image, overlay_image
from components.predictor.picture_files import read_picture

_STYLE = """
footer {display: none !important}
.swatches {display: flex; flex-wrap: wrap; gap: .3em 1.2em}
.swatches i {display: inline-block; width: .9em; height: .9em; border-radius: .2em;
  margin-right: .4em; vertical-align: -.05em}
"""
# Gradio's own themes fetch fonts from the network.
_FONTS = ["system-ui", "sans-serif"]

_CACHE_SECONDS = 3600  # how long uploaded pictures stay on the server's disk

Shown = tuple[Image.Image, np.ndarray]  # the picture and its mask, kept for redrawing


def make_demo(model: Segmenter) -> gr.Blocks:
    """The page: drop a picture; see overlay, mask and class shares; switch classes.

    Args:
      model: what is asked.

    Returns:
      A Gradio app, to be launched.
    """
    names = list(model.classes.names)

    def segment(path: str | None, shown: list[str], opacity: float) -> tuple:
        if path is None:
            return None, None, None, None, None
        try:
            picture = read_picture(path, model.pictures, model.bands)
            (prediction,) = model.predict([picture.encoded])
        except (OSError, tf.errors.InvalidArgumentError) as error:
            message = f"This picture can't be read: {error}"
            raise gr.Error(message, print_exception=False) from error
        shares = prediction.shares(len(names))
        state = (picture.image, prediction.mask)
        return (
            state,
            draw(state, shown, opacity),
            mask_image(prediction.mask, len(names)).convert("RGB"),
            {name: float(share) for name, share in zip(names, shares, strict=True)},
            save_mask(prediction.mask),
        )

    def draw(state: Shown | None, shown: list[str], opacity: float) -> Image.Image | None:
        if state is None:
            return None
        indices = [names.index(name) for name in shown]
        return overlay_image(*state, len(names), indices, opacity)

    def save_mask(mask: np.ndarray) -> str:
        path = os.path.join(tempfile.mkdtemp(prefix="segline-demo-"), "mask.png")
        mask_image(mask, len(names)).save(path)
        return path

    with gr.Blocks(
        title="segline", analytics_enabled=False, delete_cache=(_CACHE_SECONDS, _CACHE_SECONDS)
    ) as page:
        gr.Markdown(f"## segline\nModel `{model.path}`. Drop a picture, or click to choose one.")
        state = gr.State()
        result = {"interactive": False, "buttons": ["download", "fullscreen"]}
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    label="Picture", type="filepath", sources=["upload", "clipboard"], height=360
                )
                # As it was uploaded: Gradio would decode it here, and print a traceback
                # where it is no picture. (A subclass would do, but Gradio writes a .pyi
                # file beside a subclass's source.)
                picture.preprocess = lambda payload: payload.path if payload else None
                gr.HTML(_legend(names))
                shown = gr.CheckboxGroup(names, value=names, label="Classes shown")
                opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity")
            with gr.Column():
                overlay = gr.Image(
                    label="Overlay", format="jpeg", height=360, elem_id="overlay", **result
                )
                shares = gr.Label(
                    label="Share of the picture", num_top_classes=len(names), show_heading=False
                )
            with gr.Column():
                mask = gr.Image(label="Mask", format="png", height=360, elem_id="mask", **result)
                file = gr.File(label="Mask as a PNG of class indices", elem_id="file")
        picture.change(
            segment,
            [picture, shown, opacity],
            [state, overlay, mask, shares, file],
            api_name="segment",
        )
        for control in (shown, opacity):
            control.change(draw, [state, shown, opacity], overlay, api_name=False)
    return page


def launch(model: Segmenter, host: str, port: int) -> gr.Blocks:
    """Starts serving the page, in threads of this process.

    Raises:
      OSError: the port is taken.
    """
    page = make_demo(model)
    page.launch(
        server_name=host,
        server_port=port,
        quiet=True,
        prevent_thread_lock=True,
        theme=gr.themes.Default(font=_FONTS, font_mono=["monospace"]),
        css=_STYLE,
        footer_links=[],
        ssr_mode=False,
    )
    return page


def _legend(names: list[str]) -> str:
    colors = palette.class_colors(len(names))
    entries = "".join(
        '<span><i style="background: rgb({},{},{})"></i>{}</span>'.format(*colors[index], name)
        for index, name in enumerate(names)
    )
    return f'<div class="swatches">{entries}</div>'
