"""Files: a place to put one, the parsing of documents, fresh addresses (docs/upstream-protocol.md, Files)."""

import time
from typing import Any
from uuid import uuid4

from aiohttp import web

from app.emulator.bucket import BUCKET, REGION, Gate
from app.emulator.envelope import Refused, accept, body_of, fault_at, origin, plain, require
from app.emulator.faults import Refusal
from app.emulator.files import KINDS, LARGEST, PARSED, StoredFile
from app.emulator.keys import STATE

UNKNOWN_FILE = Refusal("Not_Found", "The file does not exist.", 404)


async def give_place(request: web.Request) -> web.StreamResponse:
    """Answer temporary credentials and a place for one file: bare on the older route."""
    fault = fault_at(request, "sts")
    if fault is not None:
        return fault
    body = await body_of(request)
    require(body, "filename", "filesize", "filetype")
    state = request.app[STATE]
    name, kind, size = str(body["filename"]), body["filetype"], _size(body["filesize"])
    if kind not in KINDS or not name:
        raise Refused(Refusal("ValidationError", f"filetype: one of {', '.join(KINDS)} is required", 400))
    if size > LARGEST[kind]:
        raise Refused(Refusal("Bad_Request", f"The file is larger than {LARGEST[kind]} bytes.", 400))
    file_id = str(uuid4())
    path = f"{state.tokens.user_id}/{file_id}_{name}"
    await state.files.keep(StoredFile(file_id, name, kind, size, path, int(time.time() * 1000)))
    gate = Gate(state.tokens)
    data = gate.grant(path, size, state.options.grant_seconds) | {
        "file_id": file_id,
        "file_path": path,
        "file_url": gate.link(origin(request), path),
        "bucketname": BUCKET,
        "region": f"oss-{REGION}",
        "endpoint": f"localhost:{request.url.port}",
    }
    return plain(request, data) if request.path.startswith("/api/v1/") else accept(request, data)


def _size(given: Any) -> int:
    """Read a size, which is a number or a text of one. Raises Refused."""
    text = str(given)
    if isinstance(given, bool) or not text.isdecimal():
        raise Refused(Refusal("ValidationError", "filesize: a number is required", 400))
    return int(text)


async def parse(request: web.Request) -> web.StreamResponse:
    """Begin to parse a document; the script, else the options, say how that goes."""
    fault = fault_at(request, "parse")
    if fault is not None:
        return fault
    state, body = request.app[STATE], await body_of(request)
    require(body, "file_id")
    file = state.files.files.get(str(body["file_id"]))
    if file is None:
        raise Refused(UNKNOWN_FILE)
    if file.kind != "file" or not file.digest:
        raise Refused(Refusal("Bad_Request", "This file cannot be parsed.", 400))
    course = state.script.next_parse()
    file.states = list(course.states) if course else ["pending"] * state.options.parse_polls + [PARSED]
    file.problem = course.problem if course else {}
    await state.files.keep(file)
    return accept(request, {"file_id": file.id})


async def parse_status(request: web.Request) -> web.StreamResponse:
    """Answer how far the parsing of each file is."""
    fault = fault_at(request, "parse_status")
    if fault is not None:
        return fault
    state, body = request.app[STATE], await body_of(request)
    ids = body.get("file_id_list")
    if not isinstance(ids, list):
        raise Refused(Refusal("RequestValidationError", ["Field 'file_id_list': Field required"], 422))
    files = [file for file_id in ids if (file := state.files.files.get(str(file_id))) is not None]
    if len(files) < len(ids):
        raise Refused(UNKNOWN_FILE)
    rows = [_status(file) for file in files]
    await state.files.keep(*files)
    return accept(request, rows)


def _status(file: StoredFile) -> dict[str, Any]:
    told = {"file_id": file.id, "status": file.next_state(), "error_msg": "", "error_code": None, "retry": False}
    return told if file.states else told | file.problem


async def link(request: web.Request) -> web.StreamResponse:
    """Answer a fresh address of a file; what else the site says there is not known."""
    fault = fault_at(request, "filelink")
    if fault is not None:
        return fault
    state, body = request.app[STATE], await body_of(request)
    require(body, "file_id")
    file = state.files.files.get(str(body["file_id"]))
    if file is None:
        raise Refused(UNKNOWN_FILE)
    return accept(request, {"file_url": Gate(state.tokens).link(origin(request), file.path)})
