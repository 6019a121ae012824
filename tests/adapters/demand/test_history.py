"""Whole files of each layout: events, jobs, metrics with and without a profile, steps, chosen accounts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from addrcast.adapters.demand.history import read_history
from addrcast.adapters.demand.layouts import parse_columns
from addrcast.core.domain.demand import EventLog, WorkloadProfile
from addrcast.core.domain.errors import Invalid

NAN = np.nan


def written(folder: Path, text: str) -> Path:
    path = folder / "history.csv"
    path.write_text(text)
    return path


def log_of(log: EventLog | None) -> list[tuple[str, float, float, int]]:
    assert log is not None
    lives = zip(
        log.account.tolist(), log.created_s.tolist(), log.deleted_s.tolist(), log.sizes.tolist(), strict=True
    )
    return [(log.accounts[account], created, deleted, size) for account, created, deleted, size in lives]


def test_events_may_be_older_than_the_log_and_outlive_it(tmp_path: Path) -> None:
    text = "account_id,instance_id,created,deleted\nb,i3,3600,7200\na,i1,,3600\na,i2,1800,\nb,i4,,\n"
    history = read_history(written(tmp_path, text))
    assert log_of(history.events) == [
        ("a", -np.inf, 3600, 1),
        ("b", -np.inf, np.inf, 1),
        ("a", 1800, np.inf, 1),
        ("b", 3600, 7200, 1),
    ]
    assert history.events is not None
    assert history.events.rows == 4
    assert history.events.instances == ("i1", "i4", "i2", "i3")
    assert history.counts is not None
    assert history.counts.counts.tolist() == [[1, 1, 1], [1, 2, 1]]
    assert history.report.disorder == 2
    assert history.metrics is None


def test_a_successor_at_the_time_of_a_delete_takes_its_place(tmp_path: Path) -> None:
    text = (
        "account_id,created,deleted,count\na,2024-05-01 12:00:00,2024-05-01 12:30:00,3\na,2024-05-01 12:30:00,,3\n"
    )
    history = read_history(written(tmp_path, text), step_s=600)
    assert history.counts is not None
    assert history.counts.counts.tolist() == [[3, 3, 3, 3]]
    assert history.events is not None
    assert history.events.instances == ()


def test_the_counts_of_events_stand_on_multiples_of_their_step(tmp_path: Path) -> None:
    counts = read_history(written(tmp_path, "account_id,created,deleted\na,4000,8000\n"), step_s=1800).counts
    assert counts is not None
    assert counts.times_s().tolist() == [3600, 5400, 7200]
    assert counts.counts.tolist() == [[0, 1, 1]]


def test_rows_of_no_instances_and_repeated_rows_are_ignored_and_reported(tmp_path: Path) -> None:
    text = (
        "account_id,instance_id,created,deleted,count\n"
        "a,i,0,9,2\na,i,0,9,2\na,i,0,8,2\na,j,0,9,0\na,k,0,9,\na,l,5,5,1\n"
    )
    history = read_history(written(tmp_path, text))
    assert [life[2] for life in log_of(history.events)] == [9, 8, 5]
    assert history.report.ignored == (
        ("how many instances is unknown", 1),
        ("no instances", 1),
        ("the same instance and times as a row before", 1),
    )
    assert history.report.notes == (
        "5 instances created, 5 deleted",
        "1 rows are deleted in the instant of their create",
    )


def test_events_without_any_time_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at least one row has to have a time"):
        read_history(written(tmp_path, "account_id,created,deleted\na,,\n"))


def test_a_job_is_as_many_instances_as_it_has_processors(tmp_path: Path) -> None:
    text = "job,user,group,start,end,procs\n1,12,1,0,3600,128\n2,3,1,10,7200,4\n3,3,1,-1,50,4\n4,3,1,20,30,-1\n"
    history = read_history(written(tmp_path, text))
    assert history.report.layout == "SWF jobs"
    assert log_of(history.events) == [("12", 0, 3600, 128), ("3", 10, 7200, 4)]
    assert history.report.ignored == (("a time is unknown (-1)", 1), ("how many instances is unknown", 1))


def test_times_with_binary_noise_are_one_time(tmp_path: Path) -> None:
    text = (
        "instance_sn,account_id,role,creation_time,scheduled_time,deletion_time\n"
        "i1,app,HN,475.00000000000006,,475.0\ni2,app,CN,,,475.0\ni3,app,CN,475.00000000000006,,\n"
    )
    history = read_history(written(tmp_path, text), step_s=60)
    assert history.report.layout == "DLRM events"
    assert log_of(history.events) == [
        ("app", -np.inf, 475, 1),
        ("app", 475, 475, 1),
        ("app", 475, np.inf, 1),
    ]


METRICS = "account_id,timestamp,cpu,memory,network_rx,region\na,0,1.5,2,10,north\na,3600,0.2,9,,north\n"


def test_metrics_alone_give_no_counts(tmp_path: Path) -> None:
    history = read_history(written(tmp_path, METRICS))
    assert history.counts is None
    assert history.metrics is not None
    assert history.metrics.names == ("cpu", "memory", "network_rx")
    expected = np.array([[[1.5, 0.2]], [[2, 9]], [[10, NAN]]], dtype=np.float32)
    assert np.array_equal(history.metrics.values, expected, equal_nan=True)
    assert "columns not read, for want of numbers: region" in history.report.notes


def test_a_profile_turns_metrics_into_counts(tmp_path: Path) -> None:
    profile = WorkloadProfile({"cpu": 1.0, "memory": 4.0}, target_utilisation=0.5)
    history = read_history(written(tmp_path, METRICS), profile=profile)
    assert history.counts is not None
    assert history.counts.counts.tolist() == [[3, 5]]
    assert "instances from a workload profile: one for each 0.5 of cpu, 2 of memory" in history.report.notes


def test_recorded_counts_come_before_a_profile(tmp_path: Path) -> None:
    path = written(tmp_path, "account_id,timestamp,cpu,instances\na,0,1,7\na,3600,1,8\n")
    history = read_history(path, profile=WorkloadProfile({"cpu": 1.0}))
    assert history.counts is not None
    assert history.counts.counts.tolist() == [[7, 8]]
    assert history.metrics is not None
    assert "the file records the counts; the workload profile was not used" in history.report.notes


def test_bitbrains_metrics_bring_their_profile(tmp_path: Path) -> None:
    path = written(tmp_path, "account_id,timestamp,cpu_mhz,mem_gib\nvm1,0,0,1\nvm1,3600,50,1\nvm1,7200,50.1,1\n")
    counts = read_history(path).counts
    assert counts is not None
    assert counts.counts.tolist() == [[1, 1, 2]]


def test_of_several_splits_only_the_training_one_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path, "account_id,split,step,value\nH1,train,1,5.5\nH1,train,2,6\nH1,test,1,7\nH1,test,2,8\n"
    )
    history = read_history(path)
    assert history.counts is not None
    assert history.counts.counts.tolist() == [[5.5, 6]]
    assert history.counts.times_s().tolist() == [0, 3600]
    assert history.report.ignored == (("split is not train", 2),)
    assert "1 counts are not whole numbers, and kept so" in history.report.notes


def test_a_single_split_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    counts = read_history(written(tmp_path, "account_id,split,step,value\nH1,test,1,5\nH1,test,2,6\n")).counts
    assert counts is not None
    assert counts.counts.tolist() == [[5, 6]]


def test_several_splits_without_a_training_one_leave_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, "account_id,split,step,value\nH1,a,1,5\nH1,b,2,6\n")
    with pytest.raises(Invalid, match=r"split is not train.*no row is left"):
        read_history(path)


@pytest.mark.parametrize(
    "text",
    [
        "account_id,timestamp,instances\nweb-1,0,1\nWEB-2,0,2\nweb-2,3600,3\n",
        "account_id,created,deleted\nweb-1,0,1\nWEB-2,0,2\nweb-2,60,3600\n",
    ],
)
def test_accounts_are_chosen_by_a_pattern(tmp_path: Path, text: str) -> None:
    history = read_history(written(tmp_path, text), accounts_glob="web-*")
    assert history.counts is not None
    assert history.counts.accounts == ("web-1", "web-2")
    assert history.report.ignored == (("account does not match web-*", 1),)


def test_a_pattern_that_no_account_matches_names_one_that_is_there(tmp_path: Path) -> None:
    path = written(tmp_path, "account_id,timestamp,instances\nb,0,1\na,0,2\n")
    with pytest.raises(Invalid, match="none of 2 accounts, such as a"):
        read_history(path, accounts_glob="c*")


def test_rows_without_any_value_are_no_history(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no row has a value"):
        read_history(written(tmp_path, "account_id,timestamp,instances\na,0,\n"))


def test_a_mapped_log_is_the_recognised_one(tmp_path: Path) -> None:
    path = written(tmp_path, "job,user,group,start,end,procs\n1,12,1,0,3600,128\n2,3,1,10,7200,4\n")
    columns = parse_columns("account_id=user,created=start,deleted=end,count=procs")
    assert log_of(read_history(path, columns=columns).events) == log_of(read_history(path).events)
