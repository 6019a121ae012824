"""The messages of etcd that the store sends and receives, generated from `etcd.proto`."""
