16.26 MB per CPU-second, 1.46 MB/s wall (1 thread1)
