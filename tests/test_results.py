"""Tables: intervals that are right, and every image accounted for."""

import io
import math
import tracemalloc

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy import stats

from zstar.reports.numbers import decimals, show
from zstar.reports.terminal import print_table
from zstar.runs.results import RESULTS_SCHEMA, failure_rows, summarize
from zstar.stats.bootstrap import bootstrap_interval
from zstar.stats.comparison import FEWEST, mean_interval

LABELS = {"protocol_hash": "abc", "method": "mean+optimization", "space": "w"}


def rows(
    values: dict[str, float | None], metric: str = "psnr", step: int = 400, seed: int = 0, **labels: str
) -> pl.DataFrame:
    same = {**LABELS, **labels, "metric": metric, "step": step, "seed": seed, "seconds": 1.0}
    return pl.DataFrame([{**same, "image": image, "value": v} for image, v in values.items()], schema=RESULTS_SCHEMA)


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).lognormal(size=40)
    wanted = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))
    low, high = bootstrap_interval(values, draws=20_000)
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert low == pytest.approx(wanted.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(wanted.confidence_interval.high, abs=0.03 * width)
    assert bootstrap_interval(values, draws=20_000) == (low, high), "the same table twice"
    narrow = bootstrap_interval(values, level=0.5, draws=20_000)
    assert low < narrow[0] < narrow[1] < high


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(400):
        low, high = bootstrap_interval(rng.normal(5.0, 2.0, size=60), draws=1000, seed=trial)
        inside += low <= 5.0 <= high
    assert 0.91 <= inside / 400 <= 0.98


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    tracemalloc.start()
    bootstrap_interval(np.random.default_rng(0).normal(size=100_000), draws=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # all draws at once would take 320 MB


def test_one_image_has_no_interval_and_infinite_values_do_no_harm() -> None:
    assert all(map(math.isnan, bootstrap_interval(np.array([3.0]))))
    with np.errstate(all="raise"):
        low, high = bootstrap_interval(np.array([30.0] * 50 + [math.inf]))
    assert low == 30.0 and high == math.inf


def test_a_summary_has_the_numbers_of_numpy() -> None:
    values = dict(zip("abcdefghij", np.random.default_rng(0).normal(30, 2, size=10).tolist(), strict=True))
    (row,) = summarize(rows(values)).to_dicts()
    sample = np.array(list(values.values()))
    assert (row["n"], row["seeds"], row["failures"], row["excluded"]) == (10, 1, 0, 0)
    assert row["mean"] == pytest.approx(sample.mean()) and row["median"] == pytest.approx(np.median(sample))
    assert [row["p5"], row["p95"]] == pytest.approx(np.percentile(sample, [5, 95]).tolist())
    assert [row["low"], row["high"]] == pytest.approx(mean_interval(sample))
    assert {name: row[name] for name in LABELS} == LABELS


def test_every_image_is_counted_once_as_number_failure_or_exclusion() -> None:
    results = pl.concat(
        [
            rows({"a": 30.0, "b": 32.0, "c": math.nan, "d": None}),
            rows({"a": 0.9, "b": 0.8, "d": 0.7}, metric="ms_ssim"),  # not defined for c
            failure_rows({"e": "truncated file"}, **LABELS, seed=0),
        ]
    )
    psnr, ms_ssim = summarize(results, {"e": "truncated file", "f": "no image"}).to_dicts()
    assert (psnr["n"], psnr["failures"], psnr["excluded"], psnr["mean"]) == (2, 4, 0, 31.0)
    assert (ms_ssim["n"], ms_ssim["failures"], ms_ssim["excluded"]) == (3, 2, 1)


def test_an_image_that_failed_does_not_count_with_the_numbers_that_it_left() -> None:
    (row,) = summarize(rows({"a": 30.0, "b": 1.0}), {"b": "diverged"}).to_dicts()
    assert (row["n"], row["failures"], row["mean"]) == (1, 1, 30.0)


def test_only_the_last_step_counts_and_trajectories_are_left_out() -> None:
    results = pl.concat(
        [
            rows({"a": 10.0}, step=0),
            rows({"a": 30.0, "b": 20.0}),
            rows({"b": 22.0}, step=350),
            rows({"a": 5.0}, metric="loss/pixel"),
        ]
    )
    (row,) = summarize(results).to_dicts()
    assert row["metric"] == "psnr" and row["mean"] == 25.0 and row["n"] == 2


def test_the_start_stands_beside_the_result_of_the_same_images() -> None:
    results = pl.concat(
        [
            rows({"a": 30.0, "b": 40.0, "c": 1.0}),
            rows({"a": 20.0, "b": 26.0, "c": 2.0}, metric="start/psnr", step=3),
            rows({"a": 0.9, "b": 0.8}, metric="ssim"),
        ]
    )
    psnr, ssim = summarize(results, {"c": "diverged"}).to_dicts()
    assert (psnr["n"], psnr["mean"], psnr["start"]) == (2, 35.0, 23.0)
    assert math.isnan(psnr["start_low"]) and math.isnan(psnr["start_high"])  # two images show no interval
    assert ssim["start"] is None and ssim["start_low"] is None


def test_the_terminal_table_shows_a_start_where_there_is_one() -> None:
    sample = {str(i): value for i, value in enumerate(np.random.default_rng(0).normal(30, 2, 2000).tolist())}
    results = [rows(sample, metric="evaluations"), rows({"0": 17.12}, metric="start/evaluations")]
    out = io.StringIO()
    print_table(pl.concat(results), {"broken": "why"}, Console(file=out, width=80))
    title, header, _, line, *_ = out.getvalue().splitlines()
    assert header.split() == ["metric", "start", "mean", "95", "%", "interval", "5–95", "%", "N", "failed"]
    assert line.split()[:2] == ["evaluations", "17.12"] and line.split()[-2:] == ["2000", "1"]
    assert "…" not in out.getvalue()
    out = io.StringIO()
    print_table(results[0], console=Console(file=out, width=80))
    assert "start" not in out.getvalue() and "median" in out.getvalue()


@pytest.mark.parametrize("columns", [100, 80, 66, 50, 40])
def test_a_narrow_terminal_cuts_no_number(columns: int) -> None:
    sample = {str(i): value for i, value in enumerate(np.random.default_rng(0).normal(1e-4, 2e-5, 200).tolist())}
    results = pl.concat(rows(sample, metric=name) for name in ("perceptual", "seconds", "start/seconds"))
    out = io.StringIO()
    print_table(results, console=Console(file=out, width=columns))
    text = out.getvalue()
    assert "…" not in text and all(len(line) <= columns for line in text.splitlines())
    for row in summarize(results).to_dicts():
        places = decimals(row["mean"], row["low"], row["high"])
        assert all(show(row[name], places) in text for name in ("mean", "low", "high"))
    assert ("5–95" in text) == (columns == 100)


def test_seeds_are_averaged_within_an_image() -> None:
    first, second = {n: 20.0 + i for i, n in enumerate("abcdef")}, {n: 22.0 + 2 * i for i, n in enumerate("abcdef")}
    (row,) = summarize(pl.concat([rows(first), rows(second, seed=1)])).to_dicts()
    means = np.array([21.0 + 1.5 * i for i in range(6)])
    assert (row["n"], row["seeds"], row["mean"], row["median"]) == (6, 2, means.mean(), means.mean())
    assert [row["low"], row["high"]] == pytest.approx(mean_interval(means))


def test_methods_and_spaces_are_rows_of_their_own() -> None:
    results = pl.concat([rows({"a": 30.0, "b": 31.0}), rows({"a": 33.0, "b": 35.0}, space="w_plus")])
    table = summarize(results)
    assert table["space"].to_list() == ["w", "w_plus"] and table["mean"].to_list() == [30.5, 34.0]
    empty = summarize(pl.DataFrame(schema=RESULTS_SCHEMA))
    assert empty.height == 0 and empty.columns == table.columns


def test_the_terminal_table_fits_and_says_n_failures_and_interval() -> None:
    results = rows(
        dict(zip("abcdefgh", np.random.default_rng(0).normal(30, 2, 8).tolist(), strict=True)), method="[red]x"
    )
    out = io.StringIO()
    print_table(results, {"broken": "why"}, Console(file=out, width=80))
    text = out.getvalue()
    (row,) = summarize(results, {"broken": "why"}).to_dicts()
    places = decimals(row["mean"], row["low"], row["high"])
    assert f"{show(row['low'], places)} – {show(row['high'], places)}" in text
    assert "[red]x, in w, 1 seed(s), protocol abc" in text and "failed" in text and "…" not in text
    print_table(pl.DataFrame(schema=RESULTS_SCHEMA), console=Console(file=out))  # nothing to show is no error


@pytest.mark.parametrize(
    "row, wanted",
    [
        ((31.5312, 30.9, 32.1), "31.5"),
        ((0.000714, 0.00065, 0.00078), "0.00071"),
        ((201.0, 201.0, 201.0), "201"),
        ((42.13, 36.2, 48.9), "42.1"),
        ((12345.6, 12000.0, 12700.0), "12,346"),
        ((0.98761, None, None), "0.9876"),
        ((math.inf, 30.0, math.inf), "∞"),
        ((None, None, None), "–"),
    ],
)
def test_numbers_are_as_long_as_their_interval_allows(row: tuple, wanted: str) -> None:
    assert show(row[0], decimals(*row)) == wanted


def test_few_images_have_no_interval_and_the_table_says_why() -> None:
    for count in (FEWEST - 1, FEWEST):
        values = rows({name: float(i) for i, name in enumerate("abcdefgh"[:count])})
        out = io.StringIO()
        print_table(values, {}, Console(file=out, width=100))
        (row,) = summarize(values).to_dicts()
        assert math.isnan(row["low"]) == (count < FEWEST)
        assert ("6 images or more are needed" in out.getvalue()) == (count < FEWEST)
