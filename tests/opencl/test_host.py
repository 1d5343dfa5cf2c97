from clnd.opencl import host


def group(tmp_path, limit, used, inactive):
    (tmp_path / "limit").write_text(f"{limit}\n")
    (tmp_path / "used").write_text(f"{used}\n")
    (tmp_path / "stat").write_text(f"anon 5\ninactive_file {inactive}\n")
    return [(tmp_path / "limit", tmp_path / "used", tmp_path / "stat")]


def test_available_memory_is_what_the_control_group_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_group_files", lambda: group(tmp_path, 10_000, 4_000, 1_000))
    assert host.available_memory() == 7_000


def test_what_groups_below_keep_of_files_counts_too(tmp_path, monkeypatch):
    """As version 1 tells it."""
    files = group(tmp_path, 10_000, 4_000, 0)
    with open(tmp_path / "stat", "a") as stat:
        stat.write("total_cache 3000\ntotal_inactive_file 2000\ntotal_active_file 1000\n")
    monkeypatch.setattr(host, "_group_files", lambda: files)
    assert host.available_memory() == 8_000


def test_a_control_group_without_a_limit_leaves_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_machine_available", lambda swap: 123_456)
    monkeypatch.setattr(host, "_group_files", lambda: group(tmp_path, "max", 4_000, 0))
    assert host.available_memory() == 123_456


def test_a_full_control_group_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_group_files", lambda: group(tmp_path, 10_000, 20_000, 0))
    assert host.available_memory() == 0


def test_unreadable_control_groups_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_machine_available", lambda swap: 123_456)
    missing = tmp_path / "missing"
    monkeypatch.setattr(host, "_group_files", lambda: [(missing, missing, missing)])
    assert host.available_memory() == 123_456


def test_the_processor_has_a_description():
    assert host.processor() == host.processor() != ""
