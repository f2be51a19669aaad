"""The components: one per module, registered as `live_*`, imported as `htmx_live.components.<name>` only."""

from importlib import import_module
from pkgutil import iter_modules

from django_components import registry

__all__ = ["load_component_classes", "register_all"]


def load_component_classes() -> dict[str, type]:
    """Every component by the name under which templates know it."""
    classes_by_name = {}
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        component = import_module(f"{__name__}.{module.name}")
        classes_by_name[module.name] = getattr(component, component.__all__[0])
    return classes_by_name


def register_all() -> None:
    """Make the components known to `{% component %}`; one that the project has registered itself stays."""
    for name, component in load_component_classes().items():
        if not registry.has(name):
            registry.register(name, component)
