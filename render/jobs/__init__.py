"""Many films: a job is a list of tasks, a task is an ordinary render, and a job survives everything.

seeds = [("--set", "seed", "1"), ("--set", "seed", "2")]
entries = [Entry(Path("zoom.yaml"), overrides=(seed,), output=f"{seed[2]}.mp4") for seed in seeds]
folder = open_job("seeds")
with folder.locked():                        # this process is the job's driver
    submit(folder, make_tasks(entries))      # what an earlier run has finished stays finished
    run_job(folder, Observer(), placement=LocalWorkers(2))  # raises TasksFailed at its end when tasks failed
"""
