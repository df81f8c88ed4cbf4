"""What the workflow costs at the size of the data sets that it is made for: on paper, from measured rates.

    make scale                                        the table, and the rates that it needs
    python -m benchmarks.scale --work FOLDER          the same; results of `FOLDER` that are there are not made again

Three things meet in the table. `plans` makes empty files in the place of a data set and lets Snakemake plan the preset
(dry run): the jobs, what each waits for, and the time to plan. `pilots` runs the same preset, with its networks as they
are, on a little and on more of the embedded sample. `rates` draws the line through what their jobs took (the start of a
job, and the time of an item), and `schedule` puts the planned jobs on slots. The sample's photographs are larger than
CelebA's, so finding faces takes less there. How many rows an item has is the pilots' number; what is quarantined at
full size is not known, and counted in.
"""
