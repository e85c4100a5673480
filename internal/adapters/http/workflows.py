"""The route of workflows."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import private
from internal.domain.errors import NotFoundError
from internal.services.workflows import Workflow, Workflows

TAGS: Final = ("Jobs",)
JobId = Annotated[UUID, PathParameter(description="The id of any job of it")]


class WorkflowAnswer(msgspec.Struct, frozen=True):
    """All jobs that are connected with one."""

    data: Workflow


class WorkflowRoutes:
    """Jobs with what they wait for and what waits for them."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        workflow = private(
            "workflow", "All jobs that a job is connected with", NotFoundError, tags=TAGS
        )
        return [get("/v1/workflows/{id:str}", **workflow)(self.workflow)]

    async def workflow(self, request: ApiRequest, id: JobId) -> WorkflowAnswer:
        return WorkflowAnswer(await self._workflows.of(request.user, id))
