"""The routes of files, images and videos in the description of the API."""

from typing import Any

from app.openai.videos import MOST_LISTED, USUALLY_LISTED
from app.web.openapi_operations import HEADERS, SCHEMAS, content, json_body, operation, reference

_IMAGE_FORM = {
    "type": "object",
    "description": "The fields of ImageBody, and the images.",
    "properties": {"image": {"description": "One file or several; `image[]` is the same.", "type": "string"}},
    "required": ["image", "prompt"],
    "allOf": [{"$ref": f"{SCHEMAS}ImageBody"}],
}


def media_paths() -> dict[str, Any]:
    """Describe the routes."""
    return {**_file_paths(), **_image_paths(), **_video_paths()}


def _image_paths() -> dict[str, Any]:
    made = {**json_body("MadeImages", "The images."), "headers": HEADERS}
    new = operation("generateImages", "Make images, in a chat that is deleted afterwards.", made, guarded=True)
    new["requestBody"] = {"required": True, **content("application/json", reference("ImageBody"))}
    changed = operation("editImages", "Make images from images; masks are refused.", made, guarded=True)
    changed["requestBody"] = {"required": True, **content("multipart/form-data", _IMAGE_FORM)}
    return {"/v1/images/generations": {"post": new}, "/v1/images/edits": {"post": changed}}


def _video_paths() -> dict[str, Any]:
    video_id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    one, begun = (
        json_body("Video", "The video as it is now."),
        {**json_body("Video", "The video, which is being made."), "headers": HEADERS},
    )
    film = {"description": "The video.", **content("video/mp4", {"type": "string", "format": "binary"})}
    make = operation("makeVideo", "Begin to make a video.", begun, guarded=True)
    make["requestBody"] = {"required": True, **content("application/json", reference("VideoBody"))}
    make["requestBody"]["content"] |= content("multipart/form-data", reference("VideoBody"))["content"]
    listed = operation("listVideos", "List videos, the newest first.", json_body("VideoPage", "A page."), guarded=True)
    listed["parameters"] = [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in {
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": USUALLY_LISTED},
            "order": {"enum": ["asc", "desc"], "default": "desc"},
            "after": {"type": "string"},
        }.items()
    ]
    show = operation("showVideo", "Say how far a video is.", one, guarded=True)
    fetch = operation("videoContent", "Fetch a video; 409 while it is being made.", film, guarded=True)
    forget = operation(
        "deleteVideo",
        "Forget a video, and delete its chat.",
        json_body("DeletedVideo", "It is forgotten."),
        guarded=True,
    )
    for each in (show, fetch, forget):
        each["parameters"] = [video_id]
    return {
        "/v1/videos": {"get": listed, "post": make},
        "/v1/videos/{id}": {"get": show, "delete": forget},
        "/v1/videos/{id}/content": {"get": fetch},
    }


def _file_paths() -> dict[str, Any]:
    """Describe the routes of stored files."""
    named = [{"name": "file_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    query = [
        {"name": name, "in": "query", "schema": {"type": kind}}
        for name, kind in (("after", "string"), ("limit", "integer"), ("order", "string"), ("purpose", "string"))
    ]
    store = operation("storeFile", "Store a file.", json_body("FileObject", "The file."), guarded=True)
    store["requestBody"] = {"required": True, **content("multipart/form-data", reference("FileUpload"))}
    listed = operation("listFiles", "List the stored files.", json_body("FileList", "A page."), guarded=True)
    held = {"description": "The bytes.", **content("application/octet-stream", {})}
    return {
        "/v1/files": {"get": {**listed, "parameters": query}, "post": store},
        "/v1/files/{file_id}": {
            "get": {
                **operation("showFile", "Describe a file.", json_body("FileObject", "The file."), guarded=True),
                "parameters": named,
            },
            "delete": {
                **operation("deleteFile", "Delete a file.", json_body("FileDeleted", "It is gone."), guarded=True),
                "parameters": named,
            },
        },
        "/v1/files/{file_id}/content": {
            "get": {
                **operation("fileContent", "Give a file back.", held, guarded=True),
                "parameters": named,
            }
        },
    }
