/**
 * ElectLeaders: with one broker a partition that is served has its leader. One that is not served lies on a data directory
 * that is not here. An unclean election, which is how Kafka calls a leader that may lack records, brings it back empty where
 * that directory is gone for good; the preferred leader stays unavailable.
 */
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError, NO_ERROR, refusal } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'

type Asked = NonNullable<RequestOf<'ElectLeaders'>['topicPartitions']>
type Result = ResponseInput<'ElectLeaders'>['replicaElectionResults'][number]

const PREFERRED = 0
const UNCLEAN = 1

export const electLeaders: Handler<'ElectLeaders'> = async (broker, request, context) => {
  const { topicPartitions, electionType } = request
  if (electionType !== PREFERRED && electionType !== UNCLEAN) {
    const { errorCode } = refusal(context, 'INVALID_REQUEST')
    return { errorCode, replicaElectionResults: [] }
  }
  const replicaElectionResults: Result[] = []
  // Of all partitions, those that have their leader are not told of, as in Kafka.
  for (const { topic, partitions } of topicPartitions ?? withoutLeader(broker)) {
    const partitionResult: Result['partitionResult'][number][] = []
    for (const partitionId of partitions) {
      const outcome = await elect(broker, context, electionType, topic, partitionId)
      partitionResult.push({ partitionId, ...outcome })
    }
    replicaElectionResults.push({ topic, partitionResult })
  }
  return { errorCode: 0, replicaElectionResults }
}

function withoutLeader(broker: Broker): Asked {
  return Array.from(broker.image.topics.values(), ({ name, partitions }) => ({
    topic: name,
    partitions: [...partitions.keys()].filter(index => broker.replicas.isOffline(name, index)),
  })).filter(({ partitions }) => partitions.length > 0)
}

async function elect(
  broker: Broker,
  context: RequestContext,
  electionType: number,
  topic: string,
  index: number,
) {
  try {
    const partitions = broker.image.topics.get(topic)?.partitions
    if (partitions === undefined) throw unknown(`No such topic as ${topic}`)
    if (partitions[index] === undefined) throw unknown(`No such partition as ${topic}-${index}`)
    if (!broker.replicas.isOffline(topic, index)) return refusal(context, 'ELECTION_NOT_NEEDED')
    if (electionType === PREFERRED) return refusal(context, 'PREFERRED_LEADER_NOT_AVAILABLE')
    await broker.bringBackEmpty(topic, index)
    return NO_ERROR
  } catch (error) {
    return answerError(broker, context, error)
  }
}

function unknown(why: string): ProtocolError {
  return new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION', why)
}
