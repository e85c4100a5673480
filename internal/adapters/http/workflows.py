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
        workflow = private("workflow", "Get a workflow", NotFoundError, tags=TAGS)
        return [get("/v1/workflows/{id:str}", **workflow)(self.workflow)]

    async def workflow(self, request: ApiRequest, id: JobId) -> WorkflowAnswer:
        """All jobs that the job is connected with: what it waits for, what waits for it, and on.

        An edge is a pair of ids: a job, and one that waits for it. `truncated` tells that there is
        more than is shown.
        """
        return WorkflowAnswer(await self._workflows.of(request.user, id))
