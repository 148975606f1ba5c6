#!/usr/bin/env python3
"""The record-local stages in Spark: one ds-filter per partition over pipe(). Duplicates across partitions are left to
`ds-filter --stages duplicates` (or scripts/cluster/slurm_filter.sh) over what this writes.

usage: spark-submit spark_filter.py DS_FILTER INPUT OUTPUT

Rejections exit 0, so that Spark does not take them for a failed task; broken records are counted per partition in
the executor's log.
"""
import sys
from pyspark.sql import SparkSession

binary, source, target = sys.argv[1:4]
spark = SparkSession.builder.appName("ds-filter").getOrCreate()
spark.sparkContext.textFile(source).pipe(f"{binary} --stages integrity,quality,entities,semantic --threads 1 -", checkCode=True).saveAsTextFile(target)
