"""The staff console: a page that is a client of this API like any other, and who signs in to it, on record."""

from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from gateway.domain.callers import Caller, Scope
from gateway.domain.records import entry
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.repository.records import Records
from shared.service import request_id_of

PAGE = "/console"
# Its own scripts, styles and API alone; in no other page's frame, and sending no form by itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # A page and its parts are of one version.
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Parts(StaticFiles):
    """The page's parts, with its headers."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


class SignedIn(BaseModel):
    """Whose token it is, and what it opens."""

    subject: str
    scopes: list[str]


def router(door: Door, records: Records) -> APIRouter:
    """The endpoint of signing in."""
    api = APIRouter(prefix=f"{API}{PAGE}", tags=["console"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/sign-ins",
        status_code=201,
        summary="Begin to work with the console; on record",
        responses={201: {"model": SignedIn}, **described.problem_answers()},
    )
    async def post_sign_in(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.USE_CONSOLE)
        await records.add(entry("CONSOLE_LOGIN", caller, request_id_of(request)))
        return Json(SignedIn(subject=caller.subject, scopes=sorted(caller.scopes)).model_dump(), 201)

    return api


def install(app: FastAPI) -> None:
    """Add the page and its parts to the application."""
    folder = files("gateway").joinpath("console")
    app.mount(f"{PAGE}/assets", _Parts(directory=str(folder)))

    @app.get(PAGE, include_in_schema=False)
    async def console() -> Response:
        return FileResponse(str(folder.joinpath("index.html")), headers=_HEADERS)
