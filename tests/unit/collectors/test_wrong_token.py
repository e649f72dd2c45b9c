"""A host whose token is that of another one, against the real ingest: nothing is lost, nothing else waits, and it is said."""

from pathlib import Path

import pytest

from collectors.shipper import Shipper
from collectors.spool import Spool
from footprint.access.agent_tokens import add_token
from footprint.core.records import EnergyReading, RequestRecord, to_line
from footprint.ledger.agent_status import agent_statuses
from footprint.storage.database import Store
from tests.support.contract_files import DAY_S, NOW_US, config
from tests.support.http_servers import serving_app
from tests.support.ledger_contents import readings
from tests.support.services import api_over

US = 1_000_000


def energy(host: str, number: int) -> str:
    at_us = (DAY_S + 10 * number) * US
    return to_line(EnergyReading(host, "GPU-x", "gpu", "nvml-energy", "e", number, at_us, number * 2000 * US, number * 10 * US))


def test_records_wait_for_the_token_of_their_host_and_hold_up_no_others(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token_file = tmp_path / "agent.token"
    token_file.write_text(add_token(store, "inf-01", NOW_US, ["chat"]))
    spool = Spool(tmp_path / "spool", 10)
    with serving_app(api_over(store, config(), lambda: NOW_US)) as address:
        shipper = Shipper(spool, address, token_file, None, 1)
        for number in range(4):
            request = RequestRecord((DAY_S + number) * US, "chat", "drafting", (DAY_S + number + 1) * US, id=str(number))
            spool.append([energy("inf-05", number), energy("inf-01", number), to_line(request)])
            shipper.ship_pending()
        assert {row[0] for row in readings(store)} == {"inf-01"}
        assert (spool.size_bytes(), shipper.refused, shipper.rejected, shipper.failures) == (0, 4, 0, 0)
        told = capsys.readouterr().err
        assert told.count("refuses records of inf-05") == 1
        assert shipper.refused_spool.read(10**6)[1] == [energy("inf-05", number).encode() for number in range(4)]
        token_file.write_text(add_token(store, "inf-05", NOW_US))
        shipper.ship_pending()
        assert {row[0] for row in readings(store)} == {"inf-01", "inf-05"}
        assert len([row for row in readings(store) if row[0] == "inf-05"]) == 4
        assert shipper.refused_spool.size_bytes() == 0
    assert not (spool.folder / "rejected.jsonl").exists()
    assert set(agent_statuses(store)) == {"inf-01", "inf-05"}  # the server knows what the headers say
