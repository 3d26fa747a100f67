# files of replicator
