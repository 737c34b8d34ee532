"""What became of the cells of a sweep."""

from __future__ import annotations

from render.jobs.cells import outcomes
from render.jobs.model import Task, TaskState
from render.sweep.model import CellWork


def test_outcomes_are_in_the_order_of_the_numbers_of_cells_not_of_their_making() -> None:
    work = CellWork(frame=0, film="film.mp4", has_film=False, made_from={"machine": {"precision": "bfloat16"}})
    cells = [
        Task(
            id=f"1.{n}", label=str(n), kind="cell", scene="/s.yaml", folder="/", output=f"/{n}.png", film="1", cell=work
        )
        for n in (11, 2, 1, 10, 9, 3, 4, 5, 6, 7, 8)
    ]
    states = {cell.id: TaskState(state="SUCCEEDED") for cell in cells}
    states["1.10"] = TaskState(state="DEAD", status=2, message="it is wrong")
    states["1.2"] = TaskState(state="CANCELLED")
    found = outcomes(cells, states)
    assert [each.message for each in found] == ["", "cancelled", *[""] * 7, "it is wrong", ""]
    assert {each.precision for each in found} == {"bfloat16"}
