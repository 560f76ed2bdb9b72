"""The panel: HTML, one module per noun, a page and its fragments together.

A reader would otherwise get wrong: scripts add comfort only. Every change is a plain form that posts and is redirected to
the page that shows the result; a refused form comes back with what was typed and the reason beside the field.
"""
