import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metricFamilies } from '../../broker/metric-families.ts'
import { Metrics, type MetricsSources, type PartitionFigures } from '../../broker/metrics.ts'
import { MetricsRegistry } from '../../broker/metrics-registry.ts'

/** Prometheus' text as a map from `name{label="value",…}`, labels sorted, to the value. Throws on a line it cannot read. */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.e+-]+|NaN|[+-]Inf)$/.exec(line)
    assert.ok(parts !== null, `not a sample: ${line}`)
    const [, name, labels = '', value] = parts
    const pairs = labels.match(/[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"/g) ?? []
    assert.equal(pairs.join(','), labels, `not labels: ${line}`)
    const key = pairs.length === 0 ? name! : `${name}{${pairs.sort().join(',')}}`
    assert.ok(!series.has(key), `twice: ${key}`)
    series.set(key, Number(value))
  }
  return series
}

function partition(over: Partial<PartitionFigures>): PartitionFigures {
  return {
    topic: 'orders',
    partition: 0,
    leader: 1,
    replicas: [1],
    isr: [1],
    logStartOffset: 5,
    highWatermark: 90,
    logEndOffset: 100,
    sizeBytes: 4096,
    ...over,
  }
}

function sources(partitions: readonly PartitionFigures[]): MetricsSources {
  return {
    version: '1.2.3',
    nodeId: 1,
    clusterId: 'abc',
    startedAtMs: 1_700_000_000_500,
    cluster: () => ({
      brokers: [{ id: 1, address: 'localhost:9092' }],
      isController: true,
      topics: 2,
      partitions: 3,
      offlinePartitions: 1,
    }),
    partitions: () => partitions,
    groups: () => [
      {
        groupId: 'readers',
        state: 'Stable',
        members: 2,
        lags: [{ topic: 'read', partition: 0, offset: 80, records: 10, seconds: 12.5 }],
      },
    ],
    cleaner: () => ({
      maxDirtyPercent: 50,
      sinceLastRunMs: 1200,
      uncleanablePartitions: 0,
      recopyPercent: 10,
      bufferUtilizationPercent: 3,
      cleanTimeSeconds: 1.5,
      progress: 0.25,
      passes: 2,
      bytesRead: 3000,
      bytesWritten: 300,
    }),
    slowDisk: () => 3,
    damagedBatches: () => 2,
    scrub: () => ({ bytes: 1000, problems: 1, rounds: 4 }),
    directories: () => [
      { path: '/a', isOffline: false, freeBytes: 4096, isLow: true },
      { path: '/b', isOffline: true, freeBytes: 0, isLow: false },
    ],
    budget: () => ({ used: 100, limit: 1000 }),
    fetchSessions: () => ({ sessions: 3, partitions: 7, evictions: 2 }),
  }
}

const noPause = async () => {}
const registryOf = (metrics: Metrics) => new MetricsRegistry(metrics, noPause)

test('a scrape shows what was counted, under the names that dashboards know', async () => {
  const metrics = new Metrics()
  metrics.request('Produce', 13, 1)
  metrics.request('Produce', 13, 2)
  metrics.request('Fetch', 99, 2)
  metrics.requestError('Fetch', 'UNSUPPORTED_VERSION')
  const orders = metrics.topicMeter('orders')
  orders.bytesIn = 1000
  orders.bytesOut = 2000
  orders.messagesIn = 10
  orders.failedFetchRequests = 1
  metrics.connectionOpened('PLAINTEXT')
  metrics.connectionOpened('PLAINTEXT')
  metrics.connectionClosed('PLAINTEXT')
  metrics.connectionRefused('max.connections')
  metrics.pausedConnections++
  metrics.unreadableFrames += 2
  metrics.groups.rebalance('member joined')
  metrics.groups.commits += 4
  metrics.observe(sources([partition({})]))
  const series = parse(await registryOf(metrics).scrape())
  const tp = '{partition="0",topic="orders"}'
  const expected: Record<string, number> = {
    'kafka_network_requestmetrics_requests_total{request="Produce",version="13"}': 2,
    'kafka_network_requestmetrics_requests_total{request="Fetch",version="unsupported"}': 1,
    'kafka_network_requestmetrics_errors_total{error="UNSUPPORTED_VERSION",request="Fetch"}': 1,
    'kafka_server_brokertopicmetrics_bytesin_total{topic="orders"}': 1000,
    'kafka_server_brokertopicmetrics_bytesout_total{topic="orders"}': 2000,
    'kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}': 10,
    'kafka_server_brokertopicmetrics_failedfetchrequests_total{topic="orders"}': 1,
    'kafka_topic_partitions{topic="orders"}': 1,
    [`kafka_topic_partition_current_offset${tp}`]: 90,
    [`kafka_topic_partition_oldest_offset${tp}`]: 5,
    [`kafka_topic_partition_leader${tp}`]: 1,
    [`kafka_topic_partition_replicas${tp}`]: 1,
    [`kafka_topic_partition_in_sync_replica${tp}`]: 1,
    [`kafka_topic_partition_leader_is_preferred${tp}`]: 1,
    [`kafka_topic_partition_under_replicated_partition${tp}`]: 0,
    [`kafka_log_log_size${tp}`]: 4096,
    [`kafka_log_log_logstartoffset${tp}`]: 5,
    [`kafka_log_log_logendoffset${tp}`]: 100,
    kafka_server_replicamanager_partitioncount: 1,
    kafka_server_replicamanager_leadercount: 1,
    kafka_server_replicamanager_underreplicatedpartitions: 0,
    kafka_brokers: 1,
    'kafka_broker_info{address="localhost:9092",id="1"}': 1,
    kafka_controller_kafkacontroller_activecontrollercount: 1,
    kafka_controller_kafkacontroller_globaltopiccount: 2,
    kafka_controller_kafkacontroller_globalpartitioncount: 3,
    kafka_controller_kafkacontroller_offlinepartitionscount: 1,
    'kafka_consumergroup_current_offset{consumergroup="readers",partition="0",topic="read"}': 80,
    'kafka_consumergroup_lag{consumergroup="readers",partition="0",topic="read"}': 10,
    'kafka_consumergroup_lag_seconds{consumergroup="readers",partition="0",topic="read"}': 12.5,
    'kafka_consumergroup_members{consumergroup="readers"}': 2,
    'ottla_consumergroup_state{consumergroup="readers",state="Stable"}': 1,
    'ottla_groups{state="Stable"}': 1,
    'ottla_group_rebalances_total{reason="member joined"}': 1,
    ottla_group_offset_commits_total: 4,
    'kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}': 1,
    'kafka_server_socket_server_metrics_connection_creation_total{listener="PLAINTEXT"}': 2,
    'kafka_server_socket_server_metrics_connection_close_total{listener="PLAINTEXT"}': 1,
    'ottla_connections_refused_total{reason="max.connections"}': 1,
    'ottla_connections_refused_total{reason="stopping"}': 0,
    ottla_connections_paused: 1,
    ottla_frames_unreadable_total: 2,
    kafka_server_fetchsessioncache_numincrementalfetchsessions: 3,
    kafka_server_fetchsessioncache_numincrementalfetchpartitionscached: 7,
    kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total: 2,
    ottla_memory_budget_used_bytes: 100,
    ottla_memory_budget_limit_bytes: 1000,
    ottla_disk_slow_switches_total: 3,
    ottla_start_time_seconds: 1_700_000_000.5,
    'ottla_info{cluster_id="abc",node_id="1",version="1.2.3"}': 1,
  }
  const seen = Object.fromEntries(Object.keys(expected).map(key => [key, series.get(key)]))
  assert.deepEqual(seen, expected)
})

test('every family of the table is in a scrape with its help and type, and only with its labels', async () => {
  const metrics = new Metrics()
  metrics.request('Produce', 13, 1)
  metrics.requestError('Produce', 'NOT_LEADER_OR_FOLLOWER')
  metrics.topicMeter('orders')
  metrics.connectionOpened('PLAINTEXT')
  metrics.observe(sources([partition({})]))
  const text = await registryOf(metrics).scrape()
  const keys = [...parse(text).keys()]
  const names = new Set<string>()
  for (const { name, type, labels, help } of metricFamilies) {
    assert.ok(!names.has(name), `twice in the table: ${name}`)
    names.add(name)
    assert.match(name, /^(kafka|ottla)_[a-z_]+$/)
    assert.equal(type === 'counter', name.endsWith('_total'), name)
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name)
    const parts = type === 'histogram' ? '(?:_bucket|_sum|_count)' : ''
    const mine = keys.filter(key => new RegExp(`^${name}${parts}(?:\\{|$)`).test(key))
    assert.ok(mine.length > 0, `no sample of ${name}`)
    for (const key of mine) {
      const used = [...key.matchAll(/(\w+)="/g)].map(match => match[1]!).filter(l => l !== 'le')
      assert.deepEqual(used.sort(), [...labels].sort(), key)
    }
  }
})

test('a histogram is cumulative, ends at +Inf with the count, and exists for APIs in use only', async () => {
  const metrics = new Metrics()
  for (const latencyMs of [0.1, 0.2, 3, 3, 20_000]) metrics.request('Fetch', 12, latencyMs)
  const series = parse(await registryOf(metrics).scrape())
  const name = 'ottla_request_duration_seconds'
  const bucket = (le: string) => series.get(`${name}_bucket{le="${le}",request="Fetch"}`)
  const bounds = ['0.0001', '0.00025', '0.0025', '0.005', '10', '+Inf']
  assert.deepEqual(bounds.map(bucket), [1, 2, 2, 4, 4, 5])
  assert.equal(series.get(`${name}_count{request="Fetch"}`), 5)
  assert.ok(Math.abs(series.get(`${name}_sum{request="Fetch"}`)! - 20.0063) < 1e-9)
  assert.equal(series.get(`${name}_count{request="Produce"}`), undefined)
})

test('the series of a deleted topic and its partitions end with it', async () => {
  const metrics = new Metrics()
  metrics.topicMeter('orders').bytesIn = 1
  metrics.topicMeter('other').bytesIn = 2
  let partitions = [partition({}), partition({ topic: 'other' })]
  metrics.observe({ ...sources([]), partitions: () => partitions })
  const registry = registryOf(metrics)
  assert.match(await registry.scrape(), /"orders"/)
  metrics.removeTopic('orders')
  partitions = partitions.filter(({ topic }) => topic !== 'orders')
  const text = await registry.scrape()
  assert.doesNotMatch(text, /"orders"/)
  assert.match(text, /"other"/)
})

test('a follower shows its log, and leaves the series of the partition to the leader', async () => {
  const metrics = new Metrics()
  const led = partition({ partition: 0, replicas: [2, 1], isr: [1] })
  const followed = partition({ partition: 1, leader: 2, replicas: [2, 1], isr: [2] })
  metrics.observe(sources([led, followed]))
  const series = parse(await registryOf(metrics).scrape())
  const of = (name: string, index: number) =>
    series.get(`${name}{partition="${index}",topic="orders"}`)
  assert.equal(series.get('kafka_topic_partitions{topic="orders"}'), 1)
  assert.equal(of('kafka_topic_partition_current_offset', 0), 90)
  assert.equal(of('kafka_topic_partition_leader_is_preferred', 0), 0)
  assert.equal(of('kafka_topic_partition_under_replicated_partition', 0), 1)
  assert.equal(of('kafka_topic_partition_current_offset', 1), undefined)
  assert.equal(of('kafka_log_log_size', 1), 4096)
  assert.equal(series.get('kafka_server_replicamanager_partitioncount'), 2)
  assert.equal(series.get('kafka_server_replicamanager_leadercount'), 1)
  assert.equal(series.get('kafka_server_replicamanager_underreplicatedpartitions'), 1)
})

test('while a broker starts, a scrape shows its counters and nothing that it would have to ask for', async () => {
  const metrics = new Metrics()
  const series = parse(await registryOf(metrics).scrape())
  assert.equal(series.get('ottla_frames_unreadable_total'), 0)
  for (const name of ['kafka_brokers', 'ottla_memory_budget_used_bytes', 'ottla_info']) {
    assert.equal(series.get(name), undefined, name)
  }
})

test('the figures of the process are there: CPU since its start, memory, collections, lag of the loop', async () => {
  const series = parse(await registryOf(new Metrics()).scrape())
  const { user, system } = process.cpuUsage()
  const cpu = series.get('process_cpu_seconds_total')!
  assert.ok(cpu > 0.02 && cpu <= (user + system) / 1e6, `CPU ${cpu}`)
  assert.ok(series.get('process_resident_memory_bytes')! > 1e6)
  assert.ok(series.has('ottla_event_loop_lag_seconds{quantile="0.99"}'))
  for (const [key, value] of series) assert.ok(!Number.isNaN(value), key)
})

test('two brokers in one process are scraped side by side', async () => {
  const texts = await Promise.all(
    [registryOf(new Metrics()), registryOf(new Metrics())].map(r => r.scrape()),
  )
  for (const text of texts) assert.ok(parse(text).has('process_resident_memory_bytes'))
})

test('scrapes that overlap share one result, and the next one reads anew', async () => {
  const metrics = new Metrics()
  let asked = 0
  const partitions = () => {
    asked++
    return []
  }
  metrics.observe({ ...sources([]), partitions })
  const registry = registryOf(metrics)
  const [first, second] = await Promise.all([registry.scrape(), registry.scrape()])
  assert.equal(first, second)
  assert.equal(asked, 1)
  await registry.scrape()
  assert.equal(asked, 2)
})

test('a scrape that fails does not spoil the next one', async () => {
  const metrics = new Metrics()
  let isBroken = true
  const partitions = () => {
    if (isBroken) throw new Error('not now')
    return []
  }
  metrics.observe({ ...sources([]), partitions })
  const registry = registryOf(metrics)
  await assert.rejects(registry.scrape(), /not now/)
  isBroken = false
  parse(await registry.scrape())
})

test('a scrape of many partitions lets others run in between; one of few does not stop', async () => {
  for (const [count, pauses] of [
    [10, false],
    [2000, true],
  ] as const) {
    const metrics = new Metrics()
    metrics.observe(sources(Array.from({ length: count }, (_, n) => partition({ partition: n }))))
    let paused = 0
    const registry = new MetricsRegistry(metrics, async () => {
      paused++
    })
    assert.equal(
      parse(await registry.scrape()).get('kafka_topic_partitions{topic="orders"}'),
      count,
    )
    assert.equal(paused > 0, pauses, `${count} partitions`)
  }
})

test('names with quotes, backslashes and line ends cannot break the text', async () => {
  const metrics = new Metrics()
  metrics.listenerMeter('a"b\\c\nd')
  const series = parse(await registryOf(metrics).scrape())
  const name = 'kafka_server_socket_server_metrics_connection_count'
  assert.ok(series.has(`${name}{listener="a\\"b\\\\c\\nd"}`))
})
