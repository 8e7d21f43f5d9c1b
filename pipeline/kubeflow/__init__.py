"""The pipeline on Kubeflow: package, cluster, and what its containers do."""
