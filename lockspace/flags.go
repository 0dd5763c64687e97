package lockspace

// Request flags, with the kernel's numbers (include/uapi/linux/dlmconstants.h).
// Numbers from 1<<24 up are lockify's own.
const (
	NoQueue     uint32 = 0x1     // WouldBlock instead of waiting
	ValBlk      uint32 = 0x8     // read or write the lock value block
	QueCvt      uint32 = 0x10    // a conversion queues behind those that wait already
	IvValBlk    uint32 = 0x20    // the value becomes not valid
	ConvDeadlk  uint32 = 0x40    // resolve a conversion deadlock by demoting this lock to NL
	NoDlckWt    uint32 = 0x100   // do not give up on a conversion deadlock
	NoQueueBast uint32 = 0x800   // tell the holders even when NoQueue fails
	ForceUnlock uint32 = 0x20000 // unlock also while an operation waits

	NewName  uint32 = 1 << 24 // the caller has just created what the name stands for
	WantBast uint32 = 1 << 25 // the holder wants to hear whom it blocks
)

const (
	lockFlags    = NoQueue | ValBlk | NoDlckWt | NoQueueBast | NewName | WantBast
	convertFlags = NoQueue | ValBlk | QueCvt | IvValBlk | ConvDeadlk | NoDlckWt | NoQueueBast | WantBast
	unlockFlags  = ValBlk | IvValBlk | ForceUnlock
)
