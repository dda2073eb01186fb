import type { RejectedMessage } from '../../../api/service.ts';
import { api } from '../data/client.ts';
import { itemsOf, usePages } from '../data/pages.ts';
import { counted } from '../text/format.ts';
import { Ago, MoreButton } from '../ui/components.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Loaded } from '../ui/loaded.tsx';

export function RejectedMessages({ onClose }: { readonly onClose: () => void }) {
  const messages = usePages(['rejected-messages'], api.rejectedMessages);
  return (
    <Dialog title="Rejected messages" onClose={onClose}>
      <Loaded of={messages}>
        {(data) => (
          <ol className="messages">
            {itemsOf(data).map((message) => (
              <Message key={message.id} message={message} />
            ))}
          </ol>
        )}
      </Loaded>
      <MoreButton query={messages} />
      <div className="actions">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Message({ message }: { readonly message: RejectedMessage }) {
  const { topic, reason, beginning, payload, payload_bytes: size, received_at: at } = message;
  return (
    <li>
      <p>
        <code>{topic}</code>, <Ago at={at} />
      </p>
      <p>{reason}</p>
      <p>
        <code>{beginning}</code>
      </p>
      <details>
        <summary>{counted(size, 'byte')}</summary>
        <pre>{readable(payload)}</pre>
      </details>
    </li>
  );
}

/** The payload as text; invalid UTF-8 is shown by replacement characters. */
function readable(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}
