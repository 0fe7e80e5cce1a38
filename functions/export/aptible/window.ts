import type { Channel, Client } from 'ssh2';
import { channelInternals, internalsOf, type ChannelInternals } from './internals.ts';

/**
 * A wider receive window. What is under way can be no more than the window: ssh2's 2 MiB give at most 26 MB/s at a round trip
 * of 80 ms. It has no option for it, so that for widened channels the one handler that counts the window is replaced.
 * At a reader that has stopped, at most one window is held in memory for each channel.
 */

export const WINDOW_BYTES = 16 * 1024 * 1024;
/** The sender is told often, so that it rarely sees less than the whole window. */
const GRANT_BYTES = 2 * 1024 * 1024;

const widened = new WeakMap<object, Map<number, ChannelInternals>>();

/** Widens a channel's receive window from now on. The client's other channels stay as they are. */
export function widenWindow(client: Client, channel: Channel): void {
  const wide = channelInternals(channel);
  const channels = widened.get(client) ?? takeOver(client);
  channels.set(wide.incoming.id, wide);
  const { _protocol: protocol } = internalsOf(client);
  const grant = (): void => {
    const bytes = WINDOW_BYTES - wide.incoming.window;
    if (bytes < GRANT_BYTES || wide.outgoing.state === 'closed') return;
    wide.incoming.window += bytes;
    protocol.channelWindowAdjust(wide.outgoing.id, bytes);
  };
  // Called when the reader wants more: what it had not taken was not granted again.
  wide._read = () => {
    wide._waitChanDrain = false;
    grant();
  };
  grant();
  channel.once('close', () => channels.delete(wide.incoming.id));
}

function takeOver(client: Client): Map<number, ChannelInternals> {
  const channels = new Map<number, ChannelInternals>();
  widened.set(client, channels);
  const { _protocol: protocol } = internalsOf(client);
  const original = protocol._handlers.CHANNEL_DATA;
  protocol._handlers.CHANNEL_DATA = (from, recipient, data) => {
    const channel = channels.get(recipient);
    if (!channel) {
      original(from, recipient, data);
      return;
    }
    channel.incoming.window -= data.length;
    if (channel.push(data)) channel._read(0);
    else channel._waitChanDrain = true;
  };
  return channels;
}
