"""This file makes a simulated organisation in ./footprint-demo and serves it, marked as a demonstration everywhere.

Two hosts of four GPUs, three services and six use cases over three weeks; energy follows the requests
by a known law (idle + energy per token), so that what the pages show can be checked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FOLDER = Path("footprint-demo")
STEP_S = 60
DAYS = 21
CONFIG = """[organisation]
name = "Office de démonstration"
timezone = "Europe/Paris"
zone = "FR"
demo = true

[[site]]
name = "demo-1"
pue = 1.32

[[host]]
name = "demo-inf-01"
site = "demo-1"
uplift = 1.22

[[host]]
name = "demo-inf-02"
site = "demo-1"
uplift = 1.22

[[service]]
name = "chat"
model = "demo-24b"
devices = ["demo-inf-01/gpu:0", "demo-inf-01/gpu:1", "demo-inf-01/gpu:2", "demo-inf-01/gpu:3"]

[[service]]
name = "code"
model = "demo-32b-code"
devices = ["demo-inf-02/gpu:0", "demo-inf-02/gpu:1"]

[[service]]
name = "transcription"
model = "demo-asr"
devices = ["demo-inf-02/gpu:2"]

[[use_case]]
name = "aide au code"
charter = "authorised"
[[use_case]]
name = "recherche documentaire"
charter = "recommended"
[[use_case]]
name = "rédaction"
charter = "authorised"
[[use_case]]
name = "traduction"
charter = "under-study"
[[use_case]]
name = "comptes rendus"
charter = "recommended"
"""
# Service -> (host, GPUs, idle W each, joules per output token, use cases with their share)
SERVICES = {
    "chat": ("demo-inf-01", (0, 1, 2, 3), 70.0, 1.1, {"recherche documentaire": 0.5, "rédaction": 0.3, "traduction": 0.2}),
    "code": ("demo-inf-02", (0, 1), 80.0, 1.6, {"aide au code": 0.9, "relecture": 0.1}),
    "transcription": ("demo-inf-02", (2,), 55.0, 0.5, {"comptes rendus": 1.0}),
}


def simulate(folder: Path, end_s: int, luck: np.random.Generator) -> None:
    """Contract files of the weeks before ``end_s``."""
    times = np.arange(end_s - DAYS * 86_400, end_s, STEP_S)
    hour, weekday = (times // 3600 + 2) % 24, (times // 86_400 + 4) % 7
    busy = np.where((hour >= 8) & (hour < 19) & (weekday >= 1) & (weekday <= 5), 1.0, 0.06)
    power: dict[tuple[str, str, str], np.ndarray] = {}  # type: ignore[type-arg]
    with (folder / "requests.csv").open("w", encoding="utf-8") as out:
        out.write("start,end,service,use_case,requests,input_tokens,output_tokens\n")
        for service, (host, gpus, idle_w, j_per_token, use_cases) in SERVICES.items():
            tokens = np.zeros(len(times))
            for use_case, share in use_cases.items():
                counts = luck.poisson(6 * share * busy)
                made = counts * luck.integers(80, 400, len(times))
                tokens += made
                for index in np.flatnonzero(counts).tolist():
                    out.write(f"{times[index]},{times[index] + STEP_S},{service},{use_case},{counts[index]},"
                              f"{counts[index] * 600},{made[index]}\n")  # fmt: skip
            for gpu in gpus:
                active = tokens * j_per_token / STEP_S / len(gpus)
                power[host, f"gpu:{gpu}", "gpu"] = idle_w + active + luck.normal(0, 1, len(times))
    power["demo-inf-02", "gpu:3", "gpu"] = 52 + luck.normal(0, 1, len(times))
    for host in ("demo-inf-01", "demo-inf-02"):
        power[host, "cpu:0", "cpu"] = 90 + 60 * busy + luck.normal(0, 4, len(times))
    missing = (times > end_s - 9 * 86_400) & (times < end_s - 9 * 86_400 + 30_000)
    with (folder / "energy.csv").open("w", encoding="utf-8") as out:
        out.write("time,host,device,component,power_w\n")
        for (host, device, component), watts in power.items():
            kept = ~missing if host == "demo-inf-02" else np.ones(len(times), dtype=bool)
            out.writelines(f"{t},{host},{device},{component},{w:.2f}\n" for t, w in zip(times[kept], watts[kept], strict=True))


def main() -> int:
    """Simulate what is not there yet, and serve."""
    parser = argparse.ArgumentParser(description="A simulated organisation.")
    parser.add_argument("--port", type=int, default=8051)
    parser.add_argument("--prepare-only", action="store_true")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "footprint.toml").write_text(CONFIG, encoding="utf-8")
    program = str(Path(sys.executable).with_name("footprint"))
    config = ["--config", str(FOLDER / "footprint.toml")]
    if not (FOLDER / "footprint.db").exists():
        print("simulating three weeks of an organisation …", file=sys.stderr)
        simulate(FOLDER, int(time.time()) // 3600 * 3600, np.random.default_rng(2026))
        for kind in ("energy", "requests"):
            subprocess.run([program, "import", kind, str(FOLDER / f"{kind}.csv"), *config], check=True)
        subprocess.run([program, "aggregate", *config], check=True)
    if given.prepare_only:
        return 0
    os.environ["FOOTPRINT_SERVER__PORT"] = str(given.port)
    os.execv(program, [program, "serve", *config])
    return None


if __name__ == "__main__":
    sys.exit(main())
