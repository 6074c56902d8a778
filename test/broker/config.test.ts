import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, it } from 'node:test'
import {
  brokerSettings,
  ConfigError,
  type ConfigSources,
  loadConfig,
  reconfigure,
} from '../../broker/config.ts'
import { describeBrokerConfigs } from '../../broker/settings/describe.ts'
import { hiddenSettings } from '../../broker/settings/ignored.ts'
import { logConfigFor } from '../../segment-store/config.ts'
import { defaultText, documentation, parseSetting } from '../../segment-store/setting.ts'

const reference = resolve(process.cwd(), '../shared/kafka-protocol/broker-configs.json')

function fromFile(text: string, more: Omit<ConfigSources, 'file'> = {}) {
  return loadConfig({ file: { name: 'server.properties', text }, ...more })
}

function problems(text: string, more: Omit<ConfigSources, 'file'> = {}): readonly string[] {
  let refused: unknown
  try {
    fromFile(text, more)
  } catch (error) {
    refused = error
  }
  assert.ok(refused instanceof ConfigError, `accepted: ${text}`)
  return refused.problems
}

/** What differs from Kafka on purpose, and why. */
const DIFFERS: Readonly<Record<string, string>> = {
  'node.id': 'default 1: a broker starts without any configuration',
  'log.dir': 'default ./ottla-data: not in /tmp, where data gets lost',
  listeners: 'default localhost: open to other machines only when asked to be',
  'process.roles': 'default broker: there is no controller process',
  'queued.max.request.bytes': 'default 64 MiB: memory always has a limit',
  'group.consumer.assignors': 'range: classes in Java, which Kafka also takes, cannot run here',
  'group.initial.rebalance.delay.ms': "default 0: what Kafka's shipped properties say",
  'log.flush.interval.ms': 'range: Kafka takes a negative time, and then does not flush',
  'log.flush.scheduler.interval.ms': 'range: as log.flush.interval.ms',
  'log.roll.ms': 'range: Kafka checks it after the table',
  'log.roll.jitter.ms': 'range: Kafka checks it after the table',
  'authorizer.class.name': 'range: null cannot be written in a properties file anyway',
  'controller.quorum.bootstrap.servers': 'range: without effect',
  'controller.quorum.voters': 'range: without effect',
}

describe('broker settings', () => {
  it("are Kafka's, with its types, defaults and ranges, but for the listed ones", t => {
    if (!existsSync(reference)) return t.skip('no reference data')
    const text = readFileSync(reference, 'utf8').replace(
      /"default":(-?\d{16,})(?=,)/g,
      '"default":"$1"',
    )
    const rows = JSON.parse(text) as {
      name: string
      type: string
      default: unknown
      valid: string
    }[]
    assert.equal(rows.length, 340)
    const different: string[] = []
    for (const row of rows) {
      const setting = brokerSettings.get(row.name)
      assert.ok(setting !== undefined, `${row.name} is missing`)
      assert.equal(setting.type, row.type, row.name)
      assert.ok(documentation(setting).length > 0, row.name)
      const required = row.default === null || row.default === '(required)'
      const list =
        row.type === 'LIST' ? String(row.default).slice(1, -1).replaceAll(', ', ',') : null
      const expected = required ? null : (list ?? String(row.default))
      const actual = setting.type === 'DOUBLE' ? String(setting.defaultValue) : defaultText(setting)
      const same = actual === expected && (setting.valid?.text ?? '') === row.valid
      if (!same) different.push(row.name)
    }
    assert.deepEqual(different.sort(), Object.keys(DIFFERS).sort())
    const ours = [...brokerSettings.keys()].filter(
      name => !rows.some(row => row.name === name) && !Object.hasOwn(hiddenSettings, name),
    )
    assert.deepEqual(ours.sort(), [
      'group.drop.on.disconnect.ms',
      'log.dir.free.bytes.min',
      'log.scrub.bytes.per.second',
      'metrics.listener',
    ])
  })

  it('have defaults that are valid themselves', () => {
    for (const [name, setting] of brokerSettings) {
      const text = defaultText(setting)
      if (text !== null)
        assert.deepEqual(parseSetting(name, setting, text), setting.defaultValue, name)
    }
  })
})

describe('loadConfig', () => {
  it('needs nothing', () => {
    const config = loadConfig()
    assert.equal(config.nodeId, 1)
    assert.deepEqual(config.dataDirs, ['./ottla-data'])
    assert.deepEqual(config.listeners, [
      {
        name: 'PLAINTEXT',
        host: 'localhost',
        port: 9092,
        securityProtocol: 'PLAINTEXT',
        advertised: null,
      },
    ])
    assert.deepEqual(config.metricsListener, { host: '127.0.0.1', port: 9464, isDefault: true })
    assert.equal(config.queuedMaxRequestBytes, 64 * 1024 * 1024)
    assert.equal(config.autoCreateTopicsEnable, true)
    assert.equal(config.numPartitions, 1)
    assert.deepEqual(config.ignored, [])
  })

  it('lets flags win over overrides, overrides over the file, the file over defaults', () => {
    const text = 'num.partitions=2\nfetch.max.bytes=2000\nlog.dirs=/file'
    const overrides = ['num.partitions=3', 'log.dirs=/override', 'num.partitions=4']
    const config = fromFile(text, { overrides, flags: { dataDir: '/flag', port: 0 } })
    assert.equal(config.numPartitions, 4)
    assert.equal(config.fetchMaxBytes, 2000)
    assert.deepEqual(config.dataDirs, ['/flag'])
    assert.equal(config.given.get('num.partitions')?.origin, '--override')
    assert.equal(config.given.get('fetch.max.bytes')?.origin, 'server.properties')
    assert.equal(config.given.get('log.dirs')?.origin, '--data-dir')
    assert.equal(config.given.get('listeners')?.origin, '--port')
    assert.equal(config.given.has('min.insync.replicas'), false)
  })

  it('takes an empty override as the empty value', () => {
    assert.equal(loadConfig({ overrides: ['metrics.listener='] }).metricsListener, null)
    assert.match(problems('', { overrides: ['num.partitions'] })[0]!, /expected key=value/)
    assert.match(problems('', { overrides: ['=1'] })[0]!, /expected key=value/)
  })

  it('lists everything that is wrong at once', () => {
    const found = problems(
      [
        'num.partitons=1',
        'num.partitions=0',
        'auto.create.topics.enable=yes',
        'segment.bytes=1048576',
        'zookeeper.connect=localhost:2181',
        'listeners=SSL://:9093',
        'log.dirs=/a,/b,/a/',
        'num.io.threads=0',
      ].join('\n'),
    )
    assert.deepEqual([...found].sort(), [
      'Invalid value 0 for configuration num.io.threads: Value must be at least 1',
      'Invalid value 0 for configuration num.partitions: Value must be at least 1',
      'Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false',
      'listeners: SSL is SSL; only PLAINTEXT is served so far',
      'log.dirs: /a is named twice',
      'num.partitons: unknown setting; did you mean num.partitions?',
      'segment.bytes: a setting of topics, not of the broker; the default for all topics is log.segment.bytes',
      'zookeeper.connect: a setting of older Kafka versions; there is no ZooKeeper: remove it',
    ])
  })

  it('serves the directories of log.dirs, or of log.dir where that is not set', () => {
    assert.deepEqual(fromFile('log.dir=/old\nlog.dirs=/a, b/,/c').dataDirs, ['/a', 'b', '/c'])
    assert.deepEqual(fromFile('log.dir=/old').dataDirs, ['/old'])
    assert.deepEqual(fromFile('log.dirs=/').dataDirs, ['/'])
    assert.deepEqual(problems('log.dirs='), ['log.dirs: names no directory'])
    assert.deepEqual(problems('log.dirs=a,b/../a'), ['log.dirs: a is named twice'])
  })

  it('refuses settings of groups that contradict each other, as Kafka does, and says both', () => {
    const MIN = 'group.consumer.min.session.timeout.ms'
    assert.deepEqual(problems('group.consumer.session.timeout.ms=5000'), [
      `group.consumer.session.timeout.ms: 5000 is less than ${MIN}, which is 45000; raise the one or lower the other`,
      'group.consumer.heartbeat.interval.ms: 5000 is not less than group.consumer.session.timeout.ms, which is 5000; members would be out before they are heard of: lower the one or raise the other',
    ])
    for (const [text, first] of [
      [`${MIN}=61000`, `${MIN}: 61000 is more than group.consumer.max.session.timeout.ms`],
      [
        'group.consumer.assignment.interval.ms=20000',
        'group.consumer.assignment.interval.ms: 20000',
      ],
      ['group.consumer.max.heartbeat.interval.ms=10', 'group.consumer.min.heartbeat.interval.ms: '],
      ['group.share.session.timeout.ms=60001', 'group.share.session.timeout.ms: 60001 is more'],
      ['group.share.partition.max.record.locks=5000', 'group.share.partition.max.record.locks: '],
      [
        'group.streams.num.standby.replicas=3',
        'group.streams.num.standby.replicas: 3 is more than',
      ],
      // Only here: nobody could join a classic group.
      ['group.max.session.timeout.ms=5999', 'group.min.session.timeout.ms: 6000 is more than'],
    ] as const) {
      const found = problems(text)
      assert.equal(found.length, 1, text)
      assert.ok(found[0]!.startsWith(first), found[0])
    }
    const bound = [`${MIN}=5000`, 'group.consumer.session.timeout.ms=5001'].join('\n')
    assert.equal(fromFile(bound).groupConsumerSessionTimeoutMs, 5001)
  })

  it('suggests a name only where one is near', () => {
    assert.match(problems('NUM_PARTITIONS=1')[0]!, /did you mean num\.partitions\?/)
    assert.match(problems('lsiteners=x')[0]!, /did you mean listeners\?/)
    assert.equal(problems('my.own.thing=1')[0], 'my.own.thing: unknown setting')
    assert.equal(problems('toString=1')[0], 'toString: unknown setting')
  })

  it('takes broker.id as the other name of node.id', () => {
    assert.equal(fromFile('broker.id=7').nodeId, 7)
    assert.equal(fromFile('broker.id=7\nnode.id=7').nodeId, 7)
    assert.equal(fromFile('broker.id=-1').nodeId, 1)
    assert.match(problems('broker.id=7\nnode.id=8')[0]!, /must be equal/)
    assert.match(problems('broker.id=-2')[0]!, /not a node id/)
    assert.match(problems('node.id=-1')[0]!, /at least 0/)
  })

  it('starts from the configuration that Kafka ships, and says what has no effect', () => {
    const config = fromFile(`
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
log.retention.hours=168
log.initial.task.delay.ms=100
rsm.config.bucket=x
listener.name.internal.ssl.keystore.location=/x
listener.name.internal.scram-sha-256.sasl.jaas.config=x
`)
    assert.deepEqual(config.listeners, [
      {
        name: 'PLAINTEXT',
        host: '',
        port: 9092,
        securityProtocol: 'PLAINTEXT',
        advertised: { host: 'localhost', port: 9092 },
      },
    ])
    const threads = config.ignored.find(({ names }) => names.includes('num.io.threads'))
    assert.deepEqual(threads?.names, ['num.network.threads', 'num.io.threads'])
    assert.match(threads?.because ?? '', /event loop/)
    const ignored = config.ignored.flatMap(({ names }) => names)
    for (const name of ['rsm.config.bucket', 'controller.listener.names']) {
      assert.ok(ignored.includes(name), name)
    }
    assert.ok(!ignored.includes('num.partitions'))
    assert.ok(!ignored.includes('log.initial.task.delay.ms'))
  })

  it('refuses a process that is only a controller', () => {
    const found = problems(
      'process.roles=controller\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER',
    )
    assert.equal(found.length, 2)
    assert.match(found.join(' '), /process\.roles: must contain broker.+none that clients/)
  })

  it('takes -1 queued bytes, which is no limit in Kafka, as the default', () => {
    assert.equal(fromFile('queued.max.request.bytes=-1').queuedMaxRequestBytes, 64 * 1024 * 1024)
    assert.equal(fromFile('queued.max.request.bytes=1').queuedMaxRequestBytes, 1)
  })

  it('reads limits for single addresses', () => {
    const config = fromFile('max.connections.per.ip.overrides=127.0.0.1:5, ::1:6,')
    assert.deepEqual(
      [...config.maxConnectionsPerIpOverrides],
      [
        ['127.0.0.1', 5],
        ['::1', 6],
      ],
    )
    assert.match(
      problems('max.connections.per.ip.overrides=host')[0]!,
      /"host" is not address:count/,
    )
    assert.match(problems('max.connections.per.ip.overrides=host:x')[0]!, /"host:x" is not/)
  })

  it('reads where metrics are served', () => {
    assert.deepEqual(fromFile('metrics.listener=0.0.0.0:1').metricsListener, {
      host: '0.0.0.0',
      port: 1,
      isDefault: false,
    })
    assert.match(problems('metrics.listener=nonsense')[0]!, /not host:port/)
  })

  it('turns times of several units into the defaults of topics', () => {
    const of = (text: string) => logConfigFor(fromFile(text).topicDefaults, {})
    assert.equal(of('').retentionMs, 604_800_000)
    assert.equal(of('log.retention.hours=100').retentionMs, 360_000_000)
    assert.equal(of('log.retention.hours=1\nlog.retention.minutes=2').retentionMs, 120_000)
    assert.equal(of('log.retention.minutes=2\nlog.retention.ms=3').retentionMs, 3)
    assert.equal(of('log.retention.ms=-5').retentionMs, -1)
    assert.equal(of('log.roll.hours=2').segmentMs, 7_200_000)
    assert.equal(of('log.roll.hours=2\nlog.roll.ms=5').segmentMs, 5)
    assert.equal(of('log.roll.jitter.hours=1').segmentJitterMs, 3_600_000)
    assert.equal(of('log.flush.scheduler.interval.ms=7').flushMs, 7)
    assert.equal(of('log.flush.interval.ms=6\nlog.flush.scheduler.interval.ms=7').flushMs, 6)
    assert.equal(of('message.max.bytes=900').maxMessageBytes, 900)
    assert.match(problems('log.retention.ms=0')[0]!, /greater than or equal to 1/)
    assert.match(problems('log.roll.ms=0')[0]!, /at least 1/)
  })
})

describe('reconfigure', () => {
  it('changes the configuration in place and back again', () => {
    const config = fromFile('max.connections=10')
    const empty = config.dynamic
    const broker = { 'max.connections': '5', 'message.max.bytes': '5000' }
    assert.deepEqual(
      reconfigure(config, { broker, clusterDefault: { 'max.connections': '6' } }),
      [],
    )
    assert.equal(config.maxConnections, 5)
    assert.equal(logConfigFor(config.topicDefaults, {}).maxMessageBytes, 5000)
    reconfigure(config, { broker: {}, clusterDefault: { 'max.connections': '6' } })
    assert.equal(config.maxConnections, 6)
    reconfigure(config, empty)
    assert.equal(config.maxConnections, 10)
  })

  it('leaves out what is not valid, and says so', () => {
    const config = loadConfig()
    const found = reconfigure(config, {
      broker: { 'max.connections': 'x' },
      clusterDefault: { 'max.connections': '6' },
    })
    assert.equal(found.length, 1)
    assert.equal(config.maxConnections, 6)
    assert.equal(describeBrokerConfigs(config, ['max.connections'])[0]?.value, '6')
  })
})
