"""Adapters with one fault each: the suite catches every one of them."""

from __future__ import annotations

import pytest

from .suite_run import UNTIL_FOUND, run_suite

REPLACE = "msgspec.structs.replace"

FAULTS = {
    "a lost update: what an update expects is ignored": (
        "TestLostUpdates::test_metadata_of_a_thread",
        f"""
        async def _write(self, changes):
            return await super()._write([
                c if isinstance(c, Put) else {REPLACE}(c, expect=None) for c in changes
            ])
        """,
    ),
    "rows are taken over by another thread: match is ignored": (
        "TestMessages::test_a_message_is_not_moved_by_saving_it_elsewhere",
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "match"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a replaced row loses what it should keep": (
        "TestPuts::test_keep_lets_the_stored_value_stay",
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "keep"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a replaced row forgets what was not given again": (
        "TestPuts::test_coalesce_ignores_a_new_absent_value",
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "coalesce"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a row that is there already is overwritten instead of skipped": (
        "TestPuts::test_skip_leaves_stored_rows_and_counts_new_ones",
        f"""
        async def _write(self, changes):
            return await super()._write([
                {REPLACE}(c, on_conflict="replace")
                if isinstance(c, Put) and c.on_conflict == "skip" else c
                for c in changes
            ])
        """,
    ),
    "time stands still: an advance sets the given time": (
        "TestChanges::test_an_update_advances_each_row_by_its_own_time",
        f"""
        async def _write(self, changes):
            def plain(c):
                return {{k: v.at if isinstance(v, Advance) else v for k, v in c.values.items()}}
            return await super()._write([
                {REPLACE}(c, values=plain(c)) if isinstance(c, Update) else c for c in changes
            ])
        """,
    ),
    "half a batch: changes before the one that fails stay": (
        "TestCapabilities::test_atomic_write_is_whole_or_refused",
        """
        async def _write(self, changes):
            return [n for c in changes for n in await super(Adapter, self)._write([c])]
        """,
    ),
    "the rows of another resource are read too": (
        "TestResourceScopes::test_messages_are_read_by_their_owner_only",
        f"""
        async def _find(self, table, query):
            where = tuple(w for w in query.where if w.column != "resourceId")
            return await super()._find(table, {REPLACE}(query, where=where))
        """,
    ),
    "pages are off by one": (
        "TestPages::test_limit_and_offset_cut_a_page",
        f"""
        async def _find(self, table, query):
            offset = query.offset + 1 if query.offset else 0
            return await super()._find(table, {REPLACE}(query, offset=offset))
        """,
    ),
    "a page begins with the last row of the one before": (
        "TestPages::test_pages_by_key_give_every_row_once",
        f"""
        async def _find(self, table, query):
            if query.after is None or query.limit is None:
                return await super()._find(table, query)
            rows = await super()._find(table, {REPLACE}(query, after=None, limit=None, columns=()))
            names = [name for name, _ in query.order]
            values = [tuple(row[table.positions[n]] for n in names) for row in rows]
            start = values.index(query.after) if query.after in values else 0
            wanted = [table.positions[n] for n in query.columns or table.names]
            found = rows[start : start + query.limit]
            return [tuple(row[i] for i in wanted) for row in found]
        """,
    ),
    "ties are in another order": (
        "TestOrder::test_ties_are_broken_by_the_key_in_the_same_direction",
        f"""
        async def _find(self, table, query):
            if len(query.order) < 2:
                return await super()._find(table, query)
            turned = {{"asc": "desc", "desc": "asc"}}
            name, way = query.order[-1]
            order = (*query.order[:-1], (name, turned[way]))
            return await super()._find(table, {REPLACE}(query, order=order))
        """,
    ),
    "absent values come first": (
        "TestOrder::test_absent_values_come_last_and_first_when_descending",
        """
        async def _find(self, table, query):
            rows = await super()._find(table, query)
            name, way = query.order[0] if query.order else ("", "")
            names = query.columns or table.names
            if name in names and way == "asc":
                rows.sort(key=lambda row: row[names.index(name)] is not None)
            return rows
        """,
    ),
    "JSON is compared without regard to its types": (
        "TestPaths::test_types_are_not_mixed_up",
        f"""
        async def _find(self, table, query):
            paths = [w for w in query.where if w.path and w.op == "eq"]
            where = tuple(w for w in query.where if w not in paths)
            whole = {REPLACE}(query, where=where, limit=None, columns=())
            rows = await super()._find(table, whole)
            def at(w, row):
                text = row[table.positions[w.column]]
                value = None if text is None else msgspec.json.decode(text)
                for key in w.path:
                    value = value.get(key) if isinstance(value, dict) else None
                return value
            found = [row for row in rows if all(str(at(w, row)) == str(w.value) for w in paths)]
            wanted = [table.positions[n] for n in query.columns or table.names]
            return [tuple(row[i] for i in wanted) for row in found[: query.limit]]

        async def _count(self, table, where):
            return len(await self._find(table, Query(where=tuple(where))))
        """,
    ),
    "only the first of a list is looked for": (
        "TestConditions::test_a_list_of_values",
        f"""
        async def _find(self, table, query):
            where = tuple(
                {REPLACE}(w, value=w.value[:1]) if w.op == "in" else w for w in query.where
            )
            return await super()._find(table, {REPLACE}(query, where=where))
        """,
    ),
    "the number of rows is wrong": (
        "TestConditions::test_equal_and_not_equal",
        """
        async def _count(self, table, where):
            return await super()._count(table, where) + 1
        """,
    ),
    "parts of messages that are not known are dropped": (
        "TestMessages::test_every_part_is_kept_as_it_is",
        f"""
        async def _write(self, changes):
            def row(values):
                content = msgspec.json.decode(values[2])
                content["parts"] = [p for p in content["parts"] if p.get("type") == "text"]
                text = msgspec.json.encode(content).decode()
                return (*values[:2], text, *values[3:])
            return await super()._write([
                {REPLACE}(c, rows=[row(values) for values in c.rows])
                if isinstance(c, Put) and c.table.name == "mastra_messages" else c
                for c in changes
            ])
        """,
    ),
}


DOMAINS = {
    "a lost update: a thread is written without looking whether it is as it was read": (
        "TestLostUpdates::test_metadata_of_a_thread",
        """
        async def update_thread(self, thread_id, *, title=None, metadata=None, resource_id=None):
            thread = await self.get_thread_by_id(thread_id, resource_id=resource_id)
            merged = {**(thread.metadata or {}), **(metadata or {})}
            where = (Where("id", "eq", thread_id),)
            values = {"metadata": msgspec.json.encode(merged).decode()}
            await self.backend.write(Update(THREADS, where, values))
            return await self.get_thread_by_id(thread_id)
        """,
    ),
    "checked first and written later: two claims of one id": (
        "TestRaces::test_an_id_is_inserted_once",
        """
        async def save_thread(self, thread):
            stored = await self.get_thread_by_id(thread.id)
            if stored is not None and stored.resource_id != thread.resource_id:
                raise ConflictError("taken")
            await self.backend.write(Put(THREADS, (THREAD.row(thread),)))
            return thread
        """,
    ),
    "a write that is doubled by trying again": (
        "TestCuts::test_calls_that_are_cut_behind_are_done_once_by_trying_again",
        """
        async def save_messages(self, messages, *, create=None):
            again = [msgspec.structs.replace(m, id=uuid7()) for m in messages]
            return await super().save_messages(again, create=create)
        """,
    ),
    "half a batch: messages are committed a few at a time": (
        "TestMessages::test_a_batch_is_saved_whole_or_not_at_all",
        """
        async def save_messages(self, messages, *, create=None):
            for message in messages:
                await super().save_messages([message], create=create)
            return messages
        """,
    ),
    "only the first thread of a batch is touched": (
        "TestThreads::test_writing_messages_moves_the_threads_time_on",
        """
        async def save_messages(self, messages, *, create=None):
            touched = await self.get_thread_by_id(messages[-1].thread_id)
            saved = await super().save_messages(messages, create=create)
            where = (Where("id", "eq", touched.id),)
            values = {"updatedAt": touched.updated_at}
            await self.backend.write(Update(THREADS, where, values))
            return saved
        """,
    ),
    "the total is that of the page": (
        "TestMessageLists::test_pages_are_cut_and_counted",
        """
        async def list_messages(self, thread_id, **options):
            page = await super().list_messages(thread_id, **options)
            return msgspec.structs.replace(page, total=len(page.messages))
        """,
    ),
    "the window of an included message ignores its own thread": (
        "TestIncluded::test_a_target_brings_its_own_threads_neighbours",
        """
        async def list_messages(self, thread_id, *, include=(), **options):
            alone = [{"id": entry["id"]} for entry in include]
            return await super().list_messages(thread_id, include=alone, **options)
        """,
    ),
    "one operation for each message": (
        "TestRoundTrips::test_writes_take_a_fixed_number_of_operations",
        """
        async def delete_messages(self, message_ids, *, resource_id=None):
            for message_id in message_ids:
                await super().delete_messages([message_id], resource_id=resource_id)
        """,
    ),
    "an outage looks like no history": (
        "TestCuts::test_a_busy_database_is_an_error_of_its_own_kind",
        """
        async def update_thread(self, thread_id, **options):
            try:
                return await super().update_thread(thread_id, **options)
            except UnavailableError:
                return None
        """,
    ),
}
MEMORY = """
from mastra_core.clock import uuid7
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.threads import THREAD
from mastra_core.storage.tables import THREADS

class Memory(MemoryStorage):
{body}

class Store(BackendStore):
    domain_types = {{**BackendStore.domain_types, "memory": Memory}}

BackendStore = Store
"""


def adapter(body: str) -> str:
    """A subclass with these methods."""
    return "class Adapter(Adapter):\n" + body.replace("\n        ", "\n    ")


def store(body: str) -> str:
    """A store whose memory domain has these methods."""
    return MEMORY.format(body=body.replace("\n        ", "\n    "))


def caught(run, test: str) -> None:
    assert run.code == 1, run.text
    assert test in run.of("failed"), run.text


def test_without_a_fault_nothing_is_reported(tmp_path):
    kinds = {test.partition("::")[0] for test, _ in (*FAULTS.values(), *DOMAINS.values())}
    run = run_suite(tmp_path, f"from mastra_conformance.suite import {', '.join(sorted(kinds))}\n")
    assert run.of("failed") == []
    assert run.code == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_backend_is_caught(tmp_path, fault):
    test, body = FAULTS[fault]
    module = f"from mastra_conformance.suite import {test.partition('::')[0]}\n"
    caught(run_suite(tmp_path, module, *UNTIL_FOUND, adapter=adapter(body)), test)


@pytest.mark.parametrize("fault", DOMAINS)
def test_a_fault_of_a_domain_is_caught(tmp_path, fault):
    test, body = DOMAINS[fault]
    module = f"from mastra_conformance.suite import {test.partition('::')[0]}\n"
    caught(run_suite(tmp_path, module, *UNTIL_FOUND, adapter=store(body)), test)
