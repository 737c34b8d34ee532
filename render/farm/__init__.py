"""A job on a Ray cluster: `--cluster local`, `--cluster auto`, `--cluster ray://HOST:PORT`.

    driver (render.jobs)          what runs the job, and writes all states
      RayExecutor                 lines of JSON to and from a bridge, which it starts again when that ends
        bridge                    a process of its own: the only one that has a connection to Ray
          slot                    a thread for each worker: gives it steps, and fetches what happens
            FarmWorker            an actor, on a machine of the cluster
              render.jobs.worker  a worker process as on one machine; it renders

Ray ends a process whose cluster has failed, and prints what it likes: the driver does neither, because it does not
import Ray. Frames go from the worker to the film's folder, which all machines share, and never through Ray.

A worker that nobody asks for events ends its step (`LEASE_SECONDS`), and a worker that does not answer counts as ended
only when that must have happened. So a film never has two processes, even when a network is cut in two.
"""
