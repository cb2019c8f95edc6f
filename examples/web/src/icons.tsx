const Icon = ({ path }: { path: string }) => (
  <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
    <path d={path} />
  </svg>
);

export const Pencil = () => <Icon path="M4 20h4L19 9a2.8 2.8 0 0 0-4-4L4 16v4m9.5-13.5 4 4" />;
export const Bin = () => <Icon path="M4 7h16M10 11v6m4-6v6M6 7l1 13h10l1-13M9 7V4h6v3" />;
export const Clock = () => <Icon path="M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18" />;
export const Flag = () => <Icon path="M6 21V4m0 1h11l-2.5 4L17 13H6" />;
export const Logo = () => (
  <span className="logo">
    <img src="/favicon.svg" alt="" width="28" height="28" /> Todo
  </span>
);
