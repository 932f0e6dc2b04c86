# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of a bench from its runs."""
import statistics

SARSEN = "sarsen"
AT_RATE = "rate5k"


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def best_peer(by_server, beside, key="cpu"):
    """The peer of the lowest median, but those who are only printed beside."""
    peers = [name for name in by_server if name != SARSEN and name not in beside]
    return min(peers, key=lambda name: median(by_server[name], key), default=None)


def ratios(by_server, peer, key="cpu"):
    """Sarsen's cost over the peer's, each within one repetition."""
    return [ours[key] / theirs[key]
            for ours, theirs in zip(by_server[SARSEN], by_server[peer], strict=True)]


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def verdict(title, by_server, peer, key, target):
    low, middle, high = quartiles(ratios(by_server, peer, key))
    return row(title, peer, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{target:.2f}",
               "holds" if middle <= target else "missed")


def verdicts(results):
    yield row("scenario", "best peer", "ratio", "quartiles", "target", "")
    yield "|---|---|--:|--:|--:|---|"
    for name, by_server in results["runs"].items():
        peer = best_peer(by_server, results["beside"][name])
        if SARSEN not in by_server or not peer:
            continue
        title = results["titles"][name]
        yield verdict(title, by_server, peer, "cpu", results["targets"][name])
        if name == AT_RATE:
            peer = best_peer(by_server, results["beside"][name], "p99")
            yield verdict("its p99", by_server, peer, "p99", 1.0)
    for name, sizes in results["idle"].items():
        if SARSEN in sizes:
            yield idle_verdict(results, name, sizes)


def idle_verdict(results, name, sizes):
    """A target above 1 is one of bytes."""
    target, size = results["targets"][name], sizes[SARSEN]
    peers = {peer: value for peer, value in sizes.items()
             if peer != SARSEN and peer not in results["beside"][name]}
    best = min(peers, key=peers.get, default="")
    if target > 1:
        cells, holds = (f"{size:.0f} B", "", f"{target} B"), size <= target
    else:
        ratio = size / max(peers[best], 1) if best else 0
        cells, holds = (f"{ratio:.2f}", "", f"{target:.2f}"), bool(best) and ratio <= target
    return row(results["titles"][name], best, *cells, "holds" if holds else "missed")


def shares(runs):
    """User and system time per request: the exact sum, divided as the kernel sampled it."""
    user, system = sum(run["user"] for run in runs), sum(run["system"] for run in runs)
    cpu = median(runs, "cpu")
    share = user / (user + system) if user + system else 0
    return cpu * share, cpu * (1 - share)


def costs(results):
    yield row("scenario", "server", "CPU us", "user", "system", "lowest", "requests/s", "p50 us",
              "p99 us")
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, by_server in results["runs"].items():
        for server, runs in by_server.items():
            user, system = shares(runs)
            yield row(results["titles"][name], server, f"{median(runs, 'cpu'):.2f}",
                      f"{user:.2f}", f"{system:.2f}", f"{min(run['cpu'] for run in runs):.2f}",
                      f"{median(runs, 'rate'):,.0f}", f"{median(runs, 'p50'):.0f}",
                      f"{median(runs, 'p99'):.0f}")


def idle(results):
    names = list(results["idle"])
    yield row("server", *(results["titles"][name] for name in names))
    yield "|---|" + "--:|" * len(names)
    for server in results["versions"]:
        yield row(server, *(f"{results['idle'][name][server]:.0f} B" for name in names))


def text(results):
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"# Bench of {results['date'][:10]}, commit {results['commit']}", "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, Linux "
        f"{machine['kernel']}, {machine['congestion']}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        f"{results['repetitions']} interleaved repetitions of {results['seconds']} s, "
        f"{results['connections']} connections. What the numbers mean: bench/README.md.", "",
        "## Against the best peer", "", *verdicts(results), "", "## Per request, medians", "",
        *costs(results), "",
    ]
    if results["idle"]:
        lines += ["## Memory", "", *idle(results), ""]
    return "\n".join(lines)
