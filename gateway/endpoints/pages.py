"""The documents beside the API: a page to read and try it, and what goes over Kafka."""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from gateway.endpoints import described
from gateway.endpoints.answers import Json
from shared.contracts import asyncapi

_ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Add the documents to the application. The page's parts come from here, so that it needs nobody else's server."""
    openapi: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not openapi:
            openapi.update(described.document(app))
        return openapi

    # FastAPI's own way to another document is to replace this method.
    app.openapi = document  # type: ignore[method-assign]
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )

    @app.get("/asyncapi", include_in_schema=False)
    async def events() -> Response:
        return Json(asyncapi.document())
