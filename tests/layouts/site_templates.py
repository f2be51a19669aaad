"""The templates of ``tests.layouts.site``; apart from it, because settings may import them."""

TEMPLATES = {
    "site.html": (
        "{% load layouts static %}<!doctype html><html><head><title>{{ title }}</title>{% renderstyles %}"
        "{% if request.GET.htmx == '2' %}<script src=\"{% static 'django_htmx/htmx-2.js' %}\" defer></script>"
        "{% elif request.GET.early %}<script src=\"{% static 'django_htmx/htmx-4.js' %}\"></script>"
        "{% else %}<script src=\"{% static 'django_htmx/htmx-4.js' %}\" defer></script>{% endif %}"
        '<meta name="htmx-config" content=\'{"includeIndicatorStyles": false}\'></head><body>'
        "{% panel 'content' %}{% endpanel %}"
        '{% for name in names %}<section id="{{ name }}">{% panel name %}waiting{% endpanel %}</section>{% endfor %}'
        "{% renderscripts %}</body></html>"
    ),
}
