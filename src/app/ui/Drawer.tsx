import { Dialog } from "radix-ui";
import type { ReactNode } from "react";
import { Icon } from "./icons";
import { useFocusBack } from "./useFocusBack";

/** A panel from the right. Esc and the scrim close it; focus stays inside and returns to where it was. */
export function Drawer({ title, onClose, head, footer, children, flush, wide }: { title: string; onClose: () => void; head?: ReactNode; footer?: ReactNode; children: ReactNode; flush?: boolean; wide?: boolean }) {
  const focusBack = useFocusBack();
  return (
    <Dialog.Root open onOpenChange={(open) => { if (!open) onClose(); }}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className={wide ? "drawer wide" : "drawer"} aria-describedby={undefined} onCloseAutoFocus={focusBack}>
          <header>
            <div className="row between">
              <Dialog.Title asChild><h2>{title}</h2></Dialog.Title>
              <Dialog.Close asChild><button type="button" className="btn icon s" aria-label="Close"><Icon name="close" /></button></Dialog.Close>
            </div>
            {head}
          </header>
          {/* A scrolling region takes focus so that the keyboard can scroll it. */}
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div className={flush ? "db flush" : "db"} tabIndex={0} role="group" aria-label={title}>{children}</div>
          {footer && <footer>{footer}</footer>}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
