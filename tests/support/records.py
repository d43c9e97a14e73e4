"""Records of a sweep, for comparison."""


def stable(records):
    """Records without what a clock or the system decides."""
    kept = []
    for record in records:
        record = {k: v for k, v in record.items() if k not in ("seconds", "peak_memory_mb", "fit_memory_mb")}
        record["levels"] = [{k: v for k, v in level.items() if k != "seconds"} for level in record["levels"]]
        kept.append(record)
    return kept


def by_run(records):
    return sorted(stable(records), key=lambda record: record["run"])
