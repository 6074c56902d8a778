/**
 * The settings of the server itself that have an effect: identity, listeners, limits, topic creation. Names, types and
 * ranges are Kafka's; defaults differ where one command on a fresh machine must do (`node.id`, `listeners`, `log.dir`)
 * and where Kafka's default is no limit at all (`queued.max.request.bytes`). `metrics.listener` is ours.
 */
import { atLeast, boolean, int, list, long, oneOf, string } from '../../segment-store/setting.ts'

const INT32_MAX = 2_147_483_647

/** The budget for buffers in flight, also where `queued.max.request.bytes` says "no limit". */
export const DEFAULT_QUEUED_BYTES = 64 * 1024 * 1024

export const serverSettings = {
  'advertised.listeners': list(
    null,
    null,
    'What clients are told to connect to, as name://host:port. Not set: the address that the client itself connected to.',
  ),
  'auto.create.topics.enable': boolean(
    true,
    null,
    'Whether a client that asks for the metadata of a missing topic creates it.',
  ),
  'broker.id': int(-1, null, 'The older name of node.id.'),
  'broker.rack': string(null, null, 'The rack or zone that this broker reports to clients.'),
  'connections.max.idle.ms': long(
    600_000,
    null,
    'A connection without a request for this long is closed; a negative number keeps it.',
  ),
  'default.replication.factor': int(
    1,
    null,
    'How many replicas a topic gets if its creator does not say. One broker can hold only 1.',
  ),
  'delete.topic.enable': boolean(true, null, 'Whether topics may be deleted.'),
  'fetch.max.bytes': int(
    57_671_680,
    atLeast(1024),
    'The most bytes of records that one fetch response carries, whatever the client asks.',
  ),
  'listener.security.protocol.map': string(
    'SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT',
    null,
    'The protocol of each listener name. Only PLAINTEXT is served so far.',
  ),
  listeners: list(
    ['PLAINTEXT://localhost:9092'],
    null,
    'Where to listen, as name://host:port. localhost is both loopback addresses, no host is every interface, port 0 is a free one.',
  ),
  'max.connections': int(
    INT32_MAX,
    atLeast(0),
    'The most connections at a time; further ones are closed at once.',
  ),
  'max.connections.per.ip': int(
    INT32_MAX,
    atLeast(0),
    'The most connections at a time from one address.',
  ),
  'max.connections.per.ip.overrides': string(
    '',
    null,
    'Other limits for single addresses, as address:count,address:count.',
  ),
  'max.incremental.fetch.session.cache.slots': int(
    1000,
    atLeast(0),
    'How many incremental fetch sessions are remembered; further fetches work without one.',
  ),
  'max.request.partition.size.limit': int(
    2000,
    atLeast(1),
    'The most partitions that one DescribeTopicPartitions answer lists.',
  ),
  'metrics.listener': string(
    '127.0.0.1:9464',
    null,
    'Where metrics and health checks are served over HTTP, as host:port; empty turns them off.',
  ),
  'node.id': int(
    1,
    atLeast(0),
    'The number of this broker, unique in its cluster; the data directory remembers it.',
  ),
  'num.partitions': int(
    1,
    atLeast(1),
    'How many partitions a topic gets if its creator does not say.',
  ),
  'process.roles': list(
    ['broker'],
    oneOf('broker', 'controller'),
    'Must contain broker: there is no process that is a controller only.',
  ),
  'producer.id.expiration.ms': int(
    86_400_000,
    atLeast(1),
    'How long a partition remembers the last batches of an idempotent producer that has gone quiet.',
  ),
  'queued.max.request.bytes': long(
    DEFAULT_QUEUED_BYTES,
    null,
    'The memory for requests and responses in flight; when it is used up, sockets are read more slowly. Zero or less is the default, never "no limit".',
  ),
  'socket.request.max.bytes': int(
    104_857_600,
    atLeast(1),
    'A connection that announces a larger request is closed.',
  ),
}
