"""``live_spinner``: turns while something is under way, without a word to a screen reader unless it has a label."""

from typing import Any, Literal

from htmx_live.views.component import LiveComponent, Options, build_loading_attributes, merge_given_attributes, option

__all__ = ["LiveSpinner"]


class LiveSpinner(LiveComponent):
    """Turns while its trigger works, or what ``for`` names; ``always`` turns without end."""

    template_file = "htmx_live/live_spinner.html"
    positional_options = ("label",)

    class Kwargs(Options):
        label: str = option(
            "", "Its name for screen readers. Without one it is an ornament: the trigger is busy anyway."
        )
        for_: str = option("", "Handlers or jobs, “*:” before a name for any view; else the trigger around it.")
        key: Any = option(None, "One row of many: the key of its job.")
        delay: int | str = option(0, "Milliseconds before it appears.")
        min: int | str = option(0, "Milliseconds for which it stays at least.")
        size: Literal["", "small", "medium", "large"] = option("", "Empty: as high as the text around it.")
        always: bool = option(False, "Whether it turns without waiting for anything.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        return self._build_context(options)

    @classmethod
    def build_tag_context(cls, **given: Any) -> dict[str, Any]:
        """What the template is given, without a component around it: for the tag."""
        return cls._build_context(cls.Kwargs(**given))

    @staticmethod
    def _build_context(options: Any) -> dict[str, Any]:
        own = {"class": f"live-spinner {options.size and f'live-{options.size}'}".strip()}
        own |= {"role": "img", "aria-label": str(options.label)} if options.label else {"aria-hidden": "true"}
        if not options.always:
            own |= build_loading_attributes("show", options=options)
        return {"attrs": merge_given_attributes(own, options.attrs)}
