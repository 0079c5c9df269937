package policy
import ("testing")
func TestZZ(t *testing.T){ _,w,err:=Load("../../memgate.yaml"); for _,x:=range w {t.Log(x)}; t.Log(err)}
