16.02 MB per CPU-second, 5.29 MB/s wall (1 thread1)
