"""Templates of the sites that tests and benchmarks serve; apart from them, because settings may import these."""

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

# Of tests.benchmarks.layouts_site.
BENCHMARK = {
    "bench.html": "{% load layouts %}<body>{% panel 'content' %}{% endpanel %}"
    "{% panel 'a' %}{% endpanel %}{% panel 'b' %}{% endpanel %}{% panel 'c' %}{% endpanel %}"
    "{% panel 'd' %}{% endpanel %}{% panel 'e' %}{% endpanel %}{% panel 'f' %}{% endpanel %}</body>",
    "includes.html": "<body>{% include 'main.html' %}{% include 'part.html' %}{% include 'part.html' %}"
    "{% include 'part.html' %}{% include 'part.html' %}</body>",
    "main.html": "<h1>main</h1>",
    "part.html": '<ul>{% for row in rows %}<li class="row">{{ row }} {{ forloop.counter }}</li>{% endfor %}</ul>',
}
