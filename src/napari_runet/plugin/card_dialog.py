"""A model's card, for reading."""

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_runet.models.card import ModelCard


def card_html(card: "ModelCard") -> str:
    """The whole card as HTML: what it is for and bad at first, then data, figures and technical facts."""
    network = card.network
    channels = {1: "1 (grey)", 3: "3 (colour)"}.get(network.in_channels, str(network.in_channels))
    classes = ", ".join(f'{escape(info.name)} <span style="color:{info.color}">■</span>' for info in card.classes)
    facts: dict[str, str] = {
        "Classes": classes,
        "Channels read": channels,
        "Iterations": str(card.iterations),
        "Threshold": f"{card.threshold:g}",
        "Network": f"{escape(network.name)}, {network.base_channels} base channels",
        "Licence": escape(card.licence),
        "Made": escape(card.created) or "unknown",
        "Version": f"<code>{escape(card.sha256[:16]) or 'unknown'}</code>",
    }
    if card.parent:
        facts["Tuned from"] = f"<code>{escape(card.parent[:16])}</code>"
    data = "".join(
        f"<li>{escape(source.name)}: {source.images} images, {escape(source.licence)}"
        f"{'. ' + escape(source.note) if source.note else ''}</li>"
        for source in card.training_data
    )
    parts = [f"<h2>{escape(card.title)}</h2><p>{escape(card.sentence)}</p>"]
    if card.limits:
        parts.append(f"<h3>What it is bad at</h3><p>{escape(card.limits)}</p>")
    parts.append(_table(facts))
    if data:
        parts.append(f"<h3>Trained on</h3><ul>{data}</ul>")
    if card.open_questions:
        parts.append(f"<h3>Open questions</h3><p>{escape(card.open_questions)}</p>")
    for title, values in (("Figures", card.metrics), ("Training", card.training)):
        if values:
            parts.append(f"<h3>{title}</h3>{_table({escape(str(k)): _value(v) for k, v in values.items()})}")
    return "".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _table({escape(str(key)): _value(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return ", ".join(_value(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _table(rows: dict[str, str]) -> str:
    cells = "".join(
        f'<tr><td style="padding-right:12px">{name}</td><td>{value}</td></tr>' for name, value in rows.items()
    )
    return f"<table>{cells}</table>"


class CardDialog(QDialog):
    """Shows a card; does not keep napari from being used."""

    def __init__(self, card: "ModelCard", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{card.title}: model card")
        self.resize(520, 560)
        self.text = QTextBrowser()
        self.text.setOpenExternalLinks(True)
        self.text.setHtml(card_html(card))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
