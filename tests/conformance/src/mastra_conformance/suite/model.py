"""Random programs, side by side with the reference: the same answers, the same errors."""

from __future__ import annotations

import asyncio

from mastra_conformance.domain_programs import DomainPlayer, domain_programs
from mastra_conformance.explore import explore
from mastra_conformance.lab import Site, backend_of
from mastra_conformance.tiers import area, base
from mastra_conformance.waist_programs import WaistPlayer, waist_programs


@area("model")
class TestModel:
    """Hypothesis makes the programs, and makes a failing one small."""

    @base
    def test_waist_programs_give_what_the_reference_gives(self, conformance_site: Site) -> None:
        """Puts, updates and deletes with every rule; queries with every operator, order and page."""
        settings, store = conformance_site.settings, conformance_site.make()
        with asyncio.Runner() as runner:
            player = WaistPlayer(backend_of(store))
            played = explore(
                waist_programs(),
                lambda program: runner.run(player.play(program)),
                settings,
                settings.seconds / 2,
            )
            runner.run(store.close())
        conformance_site.facts.measured["random programs of the waist"] = played
        assert played > 0

    def test_domain_programs_give_what_the_reference_gives(self, conformance_site: Site) -> None:
        """Calls of memory, workflows and observability, with ids, times and texts that meet again."""
        settings, store = conformance_site.settings, conformance_site.make()
        with asyncio.Runner() as runner:
            player = DomainPlayer(store)
            played = explore(
                domain_programs(),
                lambda program: runner.run(player.play(program)),
                settings,
                settings.seconds / 2,
            )
            runner.run(store.close())
        conformance_site.facts.measured["random programs of the domains"] = played
        assert played > 0
