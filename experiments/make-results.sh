#!/usr/bin/env bash
# Makes everything under experiments/results/ again: runs the experiments and writes their tables and figures.
#
# usage: experiments/make-results.sh [elastictok options, such as --threads 2]
#
# Needs the fetched photographs and videos (experiments/data/fetch.sh). Stop it at any time: what is done is kept in
# results/elastictok.sqlite, and the next run goes on from there.
set -euo pipefail
cd "$(dirname "$0")/.."

elastictok() { cargo run --release --quiet -- "$@"; }
options=("$@")

make_table() { # EXPERIMENT TABLE
    for format in markdown csv; do
        local file=experiments/results/$1/$2
        elastictok "${options[@]}" table "$2" --experiment "$1" --format "$format" \
            --output "$file.$([ "$format" = markdown ] && echo md || echo csv)"
    done
}
make_figure() { # EXPERIMENT FIGURE
    elastictok "${options[@]}" figure "$2" --experiment "$1" --output "experiments/results/$1/$2.svg"
}

for experiment in satisfaction search search-live similarity regressor mask-conditioning mask-distribution scale-256 \
    scale-1024 video context context-16k precision; do
    elastictok "${options[@]}" run "experiments/$experiment.toml" >/dev/null
    mkdir -p "experiments/results/$experiment"
done

for table in satisfaction fewer-tokens equal-mean rate monotonicity content; do make_table satisfaction "$table"; done
for figure in satisfaction quality content; do make_figure satisfaction "$figure"; done
for table in search search-cost bits; do make_table search "$table"; done
for table in search search-cost; do make_table search-live "$table"; done
make_table similarity search
make_table regressor regressor
make_figure regressor margin
make_table mask-conditioning mask-conditioning
make_table mask-distribution mask-distribution
make_table mask-distribution rate
make_figure mask-distribution quality
make_table scale-256 search
for table in search search-cost; do make_table scale-1024 "$table"; done
for table in video satisfaction fewer-tokens search search-cost regressor; do make_table video "$table"; done
make_figure video over-time
for experiment in context context-16k; do
    make_table "$experiment" context
    for figure in context loss-by-block; do make_figure "$experiment" "$figure"; done
done
for table in results rate; do make_table precision "$table"; done
make_figure precision quality
