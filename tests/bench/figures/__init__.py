"""What `make bench` and `make experiment` are made of.

  table.py          the rows: what each must reach, and should; how a figure is judged
  harness.py        systems that are filled and loaded; one run of `heraclius bench` with the processors' time of every process and thread beside it
  cpu.py            that time, from /proc
  machine.py        what is written beside figures: machine, commit, date
  memory.py         what a first touch of memory costs; memory is touched before figures are taken
  rows_reads.py     rows of GET
  rows_writes.py    rows of PUT and mixes
  rows_payload.py   rows of 1 KiB values: bytes a second, bytes copied
  rows_nodes.py     rows of a node at rest, of its memory, of leaders, of checkpoints
  rows_faults.py    rows of dead and lying nodes
  rows_clusters.py  rows of more clusters
  peers.py          redis and etcd, by the scripts in tests/bench/peers
  report.py         the table on the screen, CSV and JSON, what the exit code is
  steps.py          the steps of `make experiment`
  plots.py          its plots, by gnuplot
"""
