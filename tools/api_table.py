#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the management API's C table, its header and its OpenAPI document from src/api/spec/*.json.

  api_table.py header VERSION spec.json...     the prototypes of what routes call
  api_table.py table VERSION spec.json...      the table, and the document as a C string
  api_table.py openapi VERSION spec.json...    the document
"""
import json
import pathlib
import re
import sys

KINDS = {
    "text": ("API_TEXT", {"type": "string"}),
    "bool": ("API_BOOL", {"type": "boolean"}),
    "uint": ("API_UINT", {"type": "integer", "minimum": 0}),
    "percent": ("API_PERCENT", {"type": "number", "minimum": 0, "maximum": 100}),
    "duration": ("API_DURATION", {"type": "string", "examples": ["10s", "1h30m", "45d"]}),
    "map": ("API_MAP", {"type": "object", "additionalProperties": {"type": "string"}}),
    "texts": ("API_TEXTS", {"type": "array", "items": {"type": "string"}}),
    "objects": ("API_OBJECTS", {"type": "array"}),
}


DRY_RUN = "answers with the changes that would be made, and makes none"


def query(route):
    """The query parameters of a route with what they mean; every write takes dry_run."""
    made = dict(route.get("query", {}))
    if route["method"] != "GET":
        made["dry_run"] = DRY_RUN
    return made


def c_text(text):
    """A C string literal; JSON's escapes but for those of C."""
    return json.dumps(text, ensure_ascii=False).replace("??", "?\\?")


class Table:
    def __init__(self):
        self.lines = []
        self.n_fields = 0

    def fields(self, body):
        """Write the field table of one body and return its name."""
        rows = []
        for name, field in body.items():
            nested = self.fields(field["fields"]) if "fields" in field else "NULL"
            required = "true" if field.get("required") else "false"
            kind = KINDS[field["type"]][0]
            rows.append(f"    {{ {c_text(name)}, {kind}, {required}, {nested} }},")
        table = f"fields_{self.n_fields}"
        self.n_fields += 1
        self.lines += [f"static const struct api_field {table}[] = {{", *rows,
                       "    { NULL, API_TEXT, false, NULL },", "};"]
        return table

    def write(self, routes, openapi):
        rows = []
        for route in routes:
            body = self.fields(route["body"]) if "body" in route else "NULL"
            rows.append("    {{ {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} }},".format(
                c_text(route["method"]), c_text(route["path"]), c_text(" ".join(query(route))),
                c_text(route["log"]) if "log" in route else "NULL",
                "true" if route.get("open") else "false",
                "true" if route.get("raw") else "false",
                "true" if route.get("members") else "false", body,
                *(route.get(kind, "NULL") for kind in ("read", "write", "first", "revision"))))
        print("/* Generated from src/api/spec by tools/api_table.py. */\n")
        print('#include "api/routes.h"\n')
        print("\n".join(self.lines))
        print("\nconst struct api_route api_routes[] = {")
        print("\n".join(rows))
        print("};\n\nconst unsigned api_n_routes = sizeof(api_routes) / sizeof(api_routes[0]);")
        print("\nconst char api_openapi[] =")
        text = json.dumps(openapi, ensure_ascii=False, separators=(",", ":"))
        for start in range(0, len(text), 80):
            print("    " + c_text(text[start:start + 80]))
        print("    ;")


PROTOTYPES = {
    "read": "void {}(struct api_call *call);",
    "first": "void {}(struct api_call *call);",
    "write": "int {}(struct api_call *call, struct txn *txn, struct problem *problem);",
    "revision": "int64_t {}(struct api_call *call);",
}


def write_header(routes):
    print("/* Generated from src/api/spec by tools/api_table.py. */\n\n#pragma once\n")
    print('#include "api/call.h"\n')
    made = {PROTOTYPES[kind].format(route[kind]): None
            for route in routes for kind in PROTOTYPES if kind in route}
    print("\n".join(made))


def schema(body):
    properties = {}
    for name, field in body.items():
        made = dict(KINDS[field["type"]][1], description=field["help"])
        if "fields" in field:
            made["items"] = schema(field["fields"])
        properties[name] = made
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name, field in body.items() if field.get("required")]
    if required:
        made["required"] = required
    return made


def operation(route):
    made = {"summary": route["summary"], "parameters": [
        {"name": name.rstrip("."), "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{([a-z.]+)}", route["path"])] + [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in query(route).items()]}
    if "body" in route:
        made["requestBody"] = {"content": {"application/json": {"schema": schema(route["body"])}}}
    if "raw" in route:
        made["requestBody"] = {"content": {"application/octet-stream": {}}}
    made["responses"] = {
        status: {"description": text} if status < "400" else
        {"description": text, "content": {"application/problem+json": {}}}
        for status, text in route["answers"].items()}
    made["security"] = [] if route.get("open") else [{"token": []}]
    return made


def main():
    what, version, *files = sys.argv[1:]
    routes = [route for name in files
              for route in json.loads(pathlib.Path(name).read_text(encoding="utf-8"))]
    paths = {}
    for route in routes:
        path = route["path"].replace("...}", "}")
        paths.setdefault(path, {})[route["method"].lower()] = operation(route)
    openapi = {"openapi": "3.1.0", "info": {"title": "Sarsen management API", "version": version},
               "paths": paths, "components": {"securitySchemes": {
                   "token": {"type": "http", "scheme": "bearer"}}}}
    if what == "header":
        write_header(routes)
    elif what == "openapi":
        json.dump(openapi, sys.stdout, ensure_ascii=False, indent=1)
    else:
        Table().write(routes, openapi)


main()
