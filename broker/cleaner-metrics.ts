/**
 * The metrics of compaction, under the names that exporters of Kafka's JMX beans give them where there is one.
 */
import type { MetricsSources } from './metrics.ts'

type CleanerMetrics = ReturnType<MetricsSources['cleaner']>

/** One value that the cleaner is asked for. */
export interface CleanerMetric {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly value: (cleaner: CleanerMetrics) => number
}

const metric = (
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  value: (cleaner: CleanerMetrics) => number,
): CleanerMetric => ({ name, type, help, value })

export const cleanerMetrics: readonly CleanerMetric[] = [
  metric(
    'kafka_log_logcleanermanager_max_dirty_percent',
    'gauge',
    'Part of the dirtiest compacted log that is to be compacted, in percent.',
    c => c.maxDirtyPercent,
  ),
  metric(
    'kafka_log_logcleanermanager_time_since_last_run_ms',
    'gauge',
    'Milliseconds since a log to compact was last looked for.',
    c => c.sinceLastRunMs,
  ),
  metric(
    'kafka_log_logcleanermanager_uncleanable_partitions_count',
    'gauge',
    'Partitions that could not be compacted and are left alone.',
    c => c.uncleanablePartitions,
  ),
  metric(
    'kafka_log_logcleaner_cleaner_recopy_percent',
    'gauge',
    'Bytes that the last pass wrote for 100 bytes read.',
    c => c.recopyPercent,
  ),
  metric(
    'kafka_log_logcleaner_max_buffer_utilization_percent',
    'gauge',
    'Use of the table of keys in the last pass.',
    c => c.bufferUtilizationPercent,
  ),
  metric(
    'kafka_log_logcleaner_max_clean_time_secs',
    'gauge',
    'Seconds that the last pass took.',
    c => c.cleanTimeSeconds,
  ),
  metric(
    'ottla_log_cleaner_progress',
    'gauge',
    'How far the pass under way has come, from 0 to 1; 0 between passes.',
    c => c.progress,
  ),
  metric('ottla_log_cleaner_passes_total', 'counter', 'Passes of compaction.', c => c.passes),
  metric(
    'ottla_log_cleaner_read_bytes_total',
    'counter',
    'Bytes that compaction has read.',
    c => c.bytesRead,
  ),
  metric(
    'ottla_log_cleaner_written_bytes_total',
    'counter',
    'Bytes that compaction has written.',
    c => c.bytesWritten,
  ),
]
