import type { MouseEvent, ReactNode } from "react";
import { addressOf, choose } from "./address";
import type { Choice } from "./choice";

type ChoiceLinkProps = {
  choice: Choice;
  change: Partial<Choice>;
  className?: string;
  current?: boolean;
  children: ReactNode;
};

/** A link to another choice, which loads no page. It can be copied, and opened in a new tab. */
export function ChoiceLink({ choice, change, className, current, children }: ChoiceLinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    choose(change);
  };
  return (
    <a
      href={addressOf({ ...choice, ...change })}
      className={className}
      aria-current={current ? "page" : undefined}
      onClick={follow}
    >
      {children}
    </a>
  );
}
