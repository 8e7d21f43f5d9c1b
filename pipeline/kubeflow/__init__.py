"""The pipeline on Kubeflow: its package, the cluster, and what its containers do.

From outside, `segline kubeflow` takes `runner` (the package), `client` (the cluster) and `schedule`
(when). `node` is what containers run.
"""
