/**
 * DeleteRecords: moves the log start of partitions forward; whole segments below it are deleted (KIP-107).
 *
 * Offset -1 stands for the high watermark. The answer's lowWatermark is the log start that resulted.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import type { Handler, RequestContext } from '../context.ts'

const HIGH_WATERMARK = -1

export const deleteRecords: Handler<'DeleteRecords'> = async (broker, request, context) => {
  const topics = await Promise.all(
    request.topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map(({ partitionIndex, offset }) =>
          deleteBelow(broker, context, name, partitionIndex, offset),
        ),
      ),
    })),
  )
  return { topics }
}

async function deleteBelow(
  broker: Broker,
  context: RequestContext,
  topic: string,
  partitionIndex: number,
  asked: number,
): Promise<{ partitionIndex: number; lowWatermark: number; errorCode: number }> {
  try {
    const partition = broker.replicas.partition(topic, partitionIndex)
    if (!partition.allowsDeletion) {
      const said = `${partition} is compacted only (cleanup.policy): its records are not deleted`
      throw new ProtocolError('POLICY_VIOLATION', said)
    }
    const end = partition.highWatermark.value
    const offset = asked === HIGH_WATERMARK ? end : asked
    if (offset < 0 || offset > end) {
      const said = `${partition} ends at ${end}; records below ${offset} cannot be deleted`
      throw new ProtocolError('OFFSET_OUT_OF_RANGE', said)
    }
    await partition.log.advanceLogStartTo(offset)
    return { partitionIndex, lowWatermark: partition.log.logStartOffset, errorCode: 0 }
  } catch (error) {
    const { errorCode } = answerError(broker, context, error)
    return { partitionIndex, lowWatermark: -1, errorCode }
  }
}
